"""A tool server goes the way of a team: proposed, judged against its rendering, approved, merged, and then served."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from bootstrap.main_line import MainLine
from mcp_servers.factories.mcp_server import render_server
from mcp_servers.gateway.directory import Directory, Sources
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.upstreams import Upstreams
from mcp_servers.git.proposer import Refusal
from mcp_servers.safe_http import SafeHttp
from memory.change_tables import IntentRow, ScopeRow, SlotRow
from policies import rules, server_rules
from policies.evaluate import evaluate
from policies.verdict import Outcome, Verdict
from tests.factories.server_specs import internal, spec, wrapped
from tests.git.desk_world import LEAD, OWNER, World, seeded

PATH = "mcp_servers/catalog/weather"
CALLER = Caller("devops", "lead", manager=True, deployment_id="d", kind="member")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    seeded(root)
    return root


def propose(world: World, key: str = "wish-weather", **changes: Any) -> Any:
    return world.proposer.propose_server(
        internal(credentials=[], **changes), "Nobody knows.", "Small.", key, LEAD, OWNER
    )


def judged(world: World, number: int) -> Verdict:
    verdict = world.desk.judge(number)
    assert verdict is not None
    return verdict


def blocked(verdict: Verdict) -> dict[str, Outcome]:
    return {child.rule: child.outcome for child in verdict.children if not child.allowed}


@pytest.mark.rows("F34", "F35", "F114")
async def test_a_server_is_proposed_approved_merged_and_then_callable_without_a_restart(
    world: World, tmp_path: Path
) -> None:
    directory = Directory(MainLine(world.repository), Sources(), SafeHttp(lambda: ()), lambda _name: None, tmp_path)
    upstreams = Upstreams([], catalogue=directory)
    assert (await upstreams.list_tools())[0] == []
    done = propose(world)
    assert done.change.branch.startswith("auto/new-server/weather-") and "new-server" in done.change.labels
    assert blocked(done.verdict) == {"approvals": Outcome.NEEDS_APPROVAL}
    assert propose(world).change.number == done.change.number, "the same wish is the same pull request"
    world.changes("owner").approve(done.change.number, done.change.head, "yes")
    world.desk.tick()
    assert world.gate.get(done.change.number).state == "merged"
    assert [tool.name for tool in (await upstreams.list_tools())[0]] == ["weather__current", "weather__about"]
    assert (await upstreams.call("weather__about", {}, CALLER)).structuredContent == {"version": 1}
    await upstreams.close()


@pytest.mark.rows("F34")
@pytest.mark.parametrize(
    ("path", "data", "rule"),
    [
        (f"{PATH}/server.py", b"import os\n", "server_rerender"),
        (f"{PATH}/more.py", b"x = 1\n", "server_rerender"),
        (f"{PATH}/README.md", None, "server_rerender"),
        (f"{PATH}/server.yaml", b"name: weather\n", "server_spec"),
        ("mcp_servers/catalog/__init__.py", b"import os\n", "authority"),
        ("mcp_servers/git/server.py", b"import os\n", "authority"),
        ("mcp_servers/catalog/other/server.yaml", b"name: other\n", "authority"),
    ],
)
def test_what_the_factory_did_not_make_cannot_pass(world: World, path: str, data: bytes | None, rule: str) -> None:
    done = propose(world)
    world.commit_to(done.change.branch, {path: data})
    assert blocked(judged(world, done.change.number))[rule] is Outcome.DENY


def test_a_server_changed_by_a_pull_request_keeps_nothing_of_the_old_folder(world: World) -> None:
    files: dict[str, bytes | None] = {f"{PATH}/{name}": data for name, data in render_server(spec(internal())).items()}
    world.commit_to("main", files)
    done = propose(world, purpose="The weather everywhere")
    assert done.change.branch.startswith("auto/change-server/")
    assert blocked(done.verdict) == {"approvals": Outcome.NEEDS_APPROVAL}


def test_the_kernel_s_own_servers_cannot_be_proposed(world: World) -> None:
    with pytest.raises(Refusal, match="own servers"):
        propose(world, kind="builtin")


def test_a_proposal_that_is_no_server_leaves_nothing(world: World) -> None:
    with pytest.raises(Refusal, match="no such field"):
        propose(world, surprise=True)
    assert world.gate.all("all") == []


LOOK: dict[str, Any] = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
CLOCK = ["mcp-server-time", "--local-timezone", "UTC"]


def left(world: World) -> tuple[int, dict[str, str]]:
    """Rows of intents, slots and scopes, and branches."""
    with world.database.read() as session:
        rows = sum(session.scalar(select(func.count()).select_from(it)) or 0 for it in (IntentRow, SlotRow, ScopeRow))
    return rows, world.repository.refs("refs/heads/auto/")


INSIDE: dict[str, dict[str, Any]] = {
    "metadata": wrapped([LOOK], url="http://169.254.169.254/mcp"),
    "private": wrapped([LOOK], url="https://10.1.2.3/mcp"),
    "NAT64": wrapped([LOOK], url="http://[64:ff9b::a01:203]/mcp"),
    "localhost": wrapped([LOOK], url="http://localhost:8080/mcp"),
    "loopback in short": wrapped([LOOK], url="http://127.1/mcp"),
    "loopback as a number": wrapped([LOOK], url="http://2130706433/mcp"),
    "loopback in hex": wrapped([LOOK], url="http://0x7f000001/mcp"),
    "a source inside": internal(
        credentials=[],
        tools=[{"name": "a", "description": "A.", "steps": [{"do": "http_get", "url": "http://192.168.0.1/{n}"}],
                "inputs": [{"name": "n", "description": "N"}]}],
    ),
    "a shell": wrapped([LOOK], kind="stdio", url=None, command=["bash"]),
    "a known program with more": wrapped([LOOK], kind="stdio", url=None, command=[*CLOCK, "--more"]),
}  # fmt: skip


@pytest.mark.rows("F34")
@pytest.mark.parametrize("what", INSIDE)
def test_what_leads_inside_or_runs_an_unlisted_program_is_refused_before_anything_is_left_behind(
    world: World, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = left(world)
    with pytest.raises(Refusal, match="server_reach: "):
        world.proposer.propose_server(INSIDE[what], "gap", "why", "wish-1", LEAD, OWNER)
    assert left(world) == before
    assert world.gate.all("all") == []
    others = tuple((name, rule) for name, rule in rules.RULES if rule is not server_rules.server_reach)
    for user in ("proposer", "judging"):
        monkeypatch.setattr(f"mcp_servers.git.{user}.evaluate", partial(evaluate, rules=others))
    assert world.proposer.propose_server(INSIDE[what], "gap", "why", "wish-1", LEAD, OWNER).change.number == 1


@pytest.mark.rows("F34")
def test_a_program_that_people_put_into_the_law_may_be_proposed(world: World) -> None:
    path = "policies/access.yaml"
    law = world.repository.blobs([entry.sha for entry in world.repository.listing("main", path)])[0]
    world.commit_to("main", {path: law.replace(b"programs: {}", f"programs: {{clock: {CLOCK}}}".encode())})
    clock = wrapped([LOOK], kind="stdio", url=None, command=CLOCK)
    done = world.proposer.propose_server(clock, "gap", "why", "wish-1", LEAD, OWNER)
    assert done.verdict is not None
    assert blocked(done.verdict) == {"approvals": Outcome.NEEDS_APPROVAL}


def test_whoever_approves_reads_what_a_tool_does_and_tells(world: World) -> None:
    body = propose(world).change.body
    assert "Does, step by step" in body
    assert '"version": 1' in body
