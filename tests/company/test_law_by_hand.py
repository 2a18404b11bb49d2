"""A company of one person changes its law with plain Git, a REST call and an override; and no agent can do the last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from bootstrap.client import CompanyError
from bootstrap.demo.stage import Stage, wait_for
from mcp_servers.factories.spec_files import dump_spec
from mcp_servers.gateway.identity import Identity, operator_token_hash
from tests.company.pushed import FILE, Hand, a_spec, verdict_of
from tests.company.test_office import elf, told

WHY = "I am alone here, and want no more teams this week"


def tokens_of_agents(stage: Stage) -> dict[str, str]:
    """Everything an agent or its bot could hold, and the tokens of the other forge accounts."""
    devops = stage.team("devops")
    assert devops is not None
    identity = Identity(stage.home.key("gateway").encode(), operator_token_hash("x"), lambda _id, _rows: True)
    member = identity.issue(
        "devops", "delivery-lead", manager=True, deployment_id=str(devops["deployment"]), jti="t",
        now=datetime.now(UTC), lifetime=timedelta(hours=1),
    )  # fmt: skip
    forge = {name: stage.home.key(f"forge-{name}") for name in ("elf-devops", "elf-gate", "owner")}
    return {"member": member, "nobody": "x" * 64} | forge


@pytest.mark.rows("F104", "F106", "F99", "L3")
def test_the_law_is_changed_by_hand_judged_replayed_overridden_and_binds(stage: Stage, tmp_path: Path) -> None:
    said = stage.company.post("/say", {"text": "We need a team that answers customer support tickets"})
    first = next(one["change"] for one in said["evidence"] if one["kind"] == "change")
    owner = Hand(stage, "owner", tmp_path / "owner").start()
    limits = stage.git("show", "main:policies/limits.yaml", login="owner", cwd=owner.clone).stdout
    stricter = limits.replace("at_most: 5", "at_most: 0", 1).encode()
    number, head = owner.propose("auto/law/no-teams", {"policies/limits.yaml": (FILE, stricter)})
    assert verdict_of(stage, number, head)["outcome"] == "needs_approval"
    shown = wait_for("the replay", lambda: found if (found := told(stage, "show", str(number)))["replay"] else None, 20)
    assert [one["number"] for one in shown["replay"]["turned"]] == [first]
    assert f"#{first}" in elf(stage, "show", str(number)).stdout
    with pytest.raises(CompanyError, match="cannot approve it"):
        stage.company.post(f"/changes/{number}/approve", {"head": head})
    assert told(stage, "policy", "what-if", str(number), "--override", "owner")["verdict"]["outcome"] == "allow"
    for who, token in tokens_of_agents(stage).items():
        answer = httpx.post(
            f"{stage.company.address}/api/changes/{number}/override",
            json={"why": WHY, "head": head},
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
        )
        assert answer.status_code in {401, 403}, who
    assert told(stage, "show", str(number))["state"] == "open"
    done = told(stage, "override", str(number), "--why", WHY, "--hours", "1", "--head", head[:12])
    assert done["merged"], done
    judged = wait_for(
        "the open proposal, judged by the new law",
        lambda: one if (one := stage.company.get(f"/changes/{first}"))["verdict"]["outcome"] == "deny" else None,
        20,
    )
    assert "new_teams.at_most is 0" in judged["verdict"]["reason"]
    [row] = [it for it in told(stage, "audit", "list", "-n", "50")["rows"] if it["action"] == "change.override"]
    assert (row["actor"], row["detail"]["reason"]) == ("person:owner", WHY)


@pytest.mark.rows("L3")
def test_other_policies_are_tried_on_the_past_before_anybody_proposes_them(stage: Stage, tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    for path in (Path(__file__).parents[2] / "policies").glob("*.yaml"):
        (policies / path.name).write_bytes(path.read_bytes())
    found = told(stage, "policy", "simulate", "--policy", str(policies))
    assert found["decisions"] >= 1 and {one["after"] for one in found["turned"]} <= {
        "needs_approval",
        "allow",
        "pending",
    }
    (policies / "limits.yaml").write_text("nonsense: 1\n")
    refused = elf(stage, "policy", "simulate", "--policy", str(policies))
    assert refused.returncode == 1 and "policies/limits.yaml" in refused.stderr
    nothing = elf(stage, "policy", "simulate", "--policy", str(tmp_path / "nowhere"))
    assert nothing.returncode == 1 and "there is no folder" in nothing.stderr
    assert (
        told(
            stage,
            "policy",
            "simulate",
            "--policy",
            str(Path(__file__).parents[2] / "policies"),
            "--since",
            "2999-01-01",
        )["decisions"]
        == 0
    )


@pytest.mark.rows("L3", "F106", "F104")
def test_a_person_proposes_a_limit_with_one_command_and_is_told_what_comes_next(stage: Stage, tmp_path: Path) -> None:
    for name in ("changes.yaml", "limits.yaml"):
        (tmp_path / "policies").mkdir(exist_ok=True)
        (tmp_path / "policies" / name).write_text(elf(stage, "main", f"policies/{name}").stdout)
    limits = tmp_path / "policies" / "limits.yaml"
    limits.write_text(limits.read_text().replace("at_most: 0", "at_most: 4", 1))
    asked = ("propose", str(tmp_path / "policies"), "--title", "Four new teams a day")
    tried = told(stage, *asked, "--dry-run")
    assert (tried["opened"], tried["kind"], tried["verdict"]["outcome"]) == (False, "law", "needs_approval")
    before = len(told(stage, "changes", "--all")["changes"])
    said = elf(stage, *asked)
    assert said.returncode == 0, said.stderr
    assert "law change" in said.stdout and "+1 -1" in said.stdout and "verdict: needs_approval" in said.stdout
    found = told(stage, *asked)
    number = found["number"]
    assert found["news"] == "found" and len(told(stage, "changes", "--all")["changes"]) == before + 1
    assert "nobody approves their own change" in found["next"] and f"./elf override {number} " in found["next"]
    assert elf(stage, "approve", str(number)).returncode == 1
    assert told(stage, "override", str(number), "--why", WHY)["merged"]
    checked = elf(stage, "policy", "check").stdout
    assert "its main, at" in checked and "new teams: at most 4" in checked
    late = elf(stage, "policy", "what-if", str(number), "--approved-by", "owner")
    assert late.returncode == 1 and "is merged" in late.stderr
    assert elf(stage, *asked).returncode == 1


@pytest.mark.rows("L3", "F106", "F16")
def test_a_person_brings_a_team_and_retires_it_with_one_command_each(stage: Stage, tmp_path: Path) -> None:
    spec = tmp_path / "sales.yaml"
    spec.write_text(dump_spec(a_spec("door-to-door")))
    brought = told(stage, "propose", str(spec), "--title", "Sales at the door")
    assert brought["kind"] == "new_team" and any(file["made"] for file in brought["files"])
    overridden = elf(stage, "override", str(brought["number"]), "--why", WHY)
    assert overridden.returncode == 0, "merged, or by itself once its checks have ended"
    wait_for("the team", lambda: ((team := stage.team("door-to-door")) and team["state"] == "active") or None, 60)
    retired = told(stage, "propose", "--retire", "door-to-door", "--title", "Nobody opens the door")
    assert retired["kind"] == "retire_team"
    assert told(stage, "override", str(retired["number"]), "--why", WHY)["merged"]
    wait_for("the team to be gone", lambda: stage.team("door-to-door") is None or None, 30)
