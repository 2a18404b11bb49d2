"""Each look that the gate takes at a change stands in its way by itself: told at the desk, on a change that nothing else bars."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
import yaml

from mcp_servers.git.changes import Change, Proposal
from mcp_servers.git.factory import Zone
from mcp_servers.git.server import create_git_server
from policies.verdict import Outcome
from teams.spec import TeamSpec
from tests.checks.rendered import TEAM, folders
from tests.git.desk_world import LEAD, OWN_SECRET, SmallFactory, World, seeded, spec_data

pytestmark = pytest.mark.rows("F18", "F105")

PLACE = "teams/marketing_team"
MANIFESTS = {name: data for name, data in folders()[TEAM].items() if name.startswith("k8s/")}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    seeded(root)
    return root


class OtherFactory(SmallFactory):
    """A factory whose templates make something more: then it is what the factory makes, and only a look can object."""

    more: Mapping[str, bytes]

    def render(self, spec: TeamSpec, zone: Zone) -> Mapping[str, bytes]:
        return {**super().render(spec, zone), **self.more}


def made_of(world: World, more: Mapping[str, bytes]) -> Change:
    """A team as a factory makes it that also makes these files."""
    factory = OtherFactory()
    factory.more = more
    world.factory = factory
    world.restart()
    spec = TeamSpec.model_validate(spec_data())
    files: dict[str, bytes | None] = {f"{PLACE}/{name}": data for name, data in factory.render(spec, "teams").items()}
    return proposed(world, files)


def proposed(
    world: World, files: Mapping[str, bytes | None], login: str = "elf-devops", title: str = "A change"
) -> Change:
    branch = "auto/new-team/marketing-team-0a1b2c3d"
    return world.changes(login).propose(Proposal(branch, title, "Because.", (), files, "Add it\n"))


def refused(world: World, change: Change) -> dict[str, str]:
    verdict = world.desk.judge(change.number)
    return {child.rule: child.reason for child in verdict.children if child.outcome is Outcome.DENY}


def test_what_a_factory_makes_is_looked_at_and_nothing_is_found(world: World) -> None:
    assert refused(world, made_of(world, {**MANIFESTS, "agents/more.py": b"NAME = 'more'\n"})) == {}


def test_python_beyond_what_templates_make_is_refused(world: World) -> None:
    found = refused(world, made_of(world, {"agents/more.py": b"import subprocess\n"}))
    assert set(found) == {"code"}
    assert f"{PLACE}/agents/more.py" in found["code"]


def test_a_manifest_with_privileges_is_refused(world: World) -> None:
    pod = yaml.safe_load(MANIFESTS["k8s/deployment.yaml"])
    pod["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = True
    found = refused(world, made_of(world, {**MANIFESTS, "k8s/deployment.yaml": yaml.safe_dump(pod).encode()}))
    assert set(found) == {"manifests"}
    assert f"{PLACE}/k8s/deployment.yaml" in found["manifests"]


def test_text_that_reorders_is_refused(world: World) -> None:
    assert set(refused(world, made_of(world, {"NOTES.md": "a\u202eb\n".encode()}))) == {"text"}


@pytest.mark.rows("F76")
def test_a_key_in_a_remark_that_is_no_verdict_is_found(world: World) -> None:
    change = made_of(world, {})
    said = httpx.post(
        f"{world.url}/api/v3/repos/elf/company/pulls/{change.number}/reviews",
        headers={"Authorization": "Bearer token-of-second"},
        json={"event": "COMMENT", "body": f"Try {OWN_SECRET}", "commit_id": change.head},
    )
    assert said.json()["state"] == "COMMENTED"
    found = refused(world, change)
    assert set(found) == {"secrets"} and found["secrets"].startswith("a review by second")


@pytest.mark.rows("F76")
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_a_key_in_a_persons_file_in_utf_16_is_found(world: World, encoding: str) -> None:
    change = proposed(world, {"docs/plan.txt": f"Use {OWN_SECRET}\n".encode(encoding)}, "owner")
    found = refused(world, change)
    assert set(found) == {"secrets"} and found["secrets"].startswith("docs/plan.txt")


@pytest.mark.rows("F76")
def test_a_key_of_which_every_letter_is_in_url_form_is_found(world: World) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in OWN_SECRET.encode())
    assert set(refused(world, proposed(world, {"docs/plan.md": encoded.encode()}, "owner"))) == {"secrets"}


@pytest.mark.rows("F76")
async def test_a_key_in_a_title_is_shown_to_no_team(world: World) -> None:
    change = proposed(world, {"docs/plan.md": b"x\n"}, "owner", f"Use {OWN_SECRET}")
    git = create_git_server(world.proposer, world.gate, world.database, lambda: LEAD)
    for tool, arguments in (("get_change", {"number": change.number}), ("list_changes", {})):
        shown = json.dumps(str(await git.call_tool(tool, arguments)))
        assert "Use [redacted]" in shown and OWN_SECRET not in shown
