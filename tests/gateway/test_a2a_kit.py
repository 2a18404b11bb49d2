"""The A2A conformance kit (a2aproject/a2a-tck, branch 1.0-dev) against a team: it fails nothing that the SDK itself passes.

Skipped by name where the kit is absent. Make it anywhere: clone that branch, `uv venv && uv pip install -e .` in it, and name that
folder in ELF_A2A_TCK.

What the SDK itself does not pass: the card has no Last-Modified (which may be absent); a request that is not called JSON gets an answer
all the same (the gateway refuses it); and a part of an unsupported media type is refused, as the kit's own CORE-SEND-003 says it must be,
while its test wants it accepted.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from mcp_servers.gateway.a2a_api import TeamAddress
from teams.runtime import server
from tests.doubles.a2a_kit import ScriptedTeam, sample_server, with_token
from tests.doubles.gateway import OPERATOR, office
from tests.doubles.serving import free_port, serving
from tests.factories.specs import support_team
from tests.runtime import standin
from tests.runtime.conftest import INBOUND, deploy, packages_forgotten

KIT = Path(os.environ.get("ELF_A2A_TCK", "absent"))
PYTHON = KIT / ".venv" / "bin" / "python"

pytestmark = pytest.mark.skipif(
    not ((KIT / "tests" / "compatibility").is_dir() and PYTHON.exists()),
    reason="the A2A kit is absent: clone a2aproject/a2a-tck (1.0-dev), uv venv && uv pip install -e . in it, ELF_A2A_TCK=<that folder>",
)

Verdicts = dict[str, str]


def run_kit(url: str, folder: Path) -> Verdicts:
    """What the kit says, by test: passed, failed or skipped."""
    report = folder / "kit.xml"
    command = [str(PYTHON), "-m", "pytest", "tests/compatibility", f"--sut-host={url}", "--transport=jsonrpc", "-q"]
    command += ["-p", "no:cacheprovider", f"--junitxml={report}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=KIT)
    assert report.exists(), done.stdout + done.stderr
    found: Verdicts = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        state = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[f"{case.get('classname')}::{case.get('name')}"] = state
    return found


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A team's own server, deployed; its work follows the kit's script."""
    folder, gateway = tmp_path_factory.mktemp("team"), standin.StandIn()
    with ExitStack() as stack:
        stack.enter_context(packages_forgotten())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(server, "TeamExecutor", ScriptedTeam)
        gateway.url = stack.enter_context(serving(standin.create_app(gateway)))
        url = stack.enter_context(serving(server.create_app(deploy(support_team(), folder, gateway.url))))
        deadline = time.monotonic() + 20
        while httpx.get(f"{url}/health").json()["status"] != "ok":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield url


@pytest.fixture(scope="module")
def of_the_sdk(tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    port = free_port()
    with serving(sample_server(f"http://127.0.0.1:{port}"), port) as url:
        return run_kit(url, tmp_path_factory.mktemp("sdk"))


def held_against(ours: Verdicts, theirs: Verdicts) -> dict[str, tuple[str, str]]:
    """What ours does not pass although the SDK does. Skipped is not passed: a server that offers less fails less."""
    return {
        test: (state, theirs[test]) for test, state in ours.items() if state != "passed" and theirs[test] == "passed"
    }


@pytest.mark.rows("F23")
@pytest.mark.timeout(600)
def test_a_teams_server_passes_all_that_the_sdk_passes(tmp_path: Path, team: str, of_the_sdk: Verdicts) -> None:
    own = f"http://127.0.0.1:{(port := free_port())}"
    front = with_token(own, f"{team}/.well-known/agent-card.json", f"{team}/a2a", lambda: INBOUND)
    with serving(front, port):
        ours = run_kit(own, tmp_path)
    assert sum(state == "passed" for state in of_the_sdk.values()) > 80
    assert held_against(ours, of_the_sdk) == {}


@pytest.mark.rows("F23")
@pytest.mark.timeout(600)
def test_a_team_behind_the_gateway_passes_all_that_the_sdk_passes(
    tmp_path: Path, team: str, of_the_sdk: Verdicts
) -> None:
    own = f"http://127.0.0.1:{(port := free_port())}"
    with office(tmp_path) as found:
        found.world.addresses["support-team"] = TeamAddress(team, INBOUND)
        at = f"{found.url}/a2a/support-team"
        front = with_token(own, f"{at}/.well-known/agent-card.json", at, lambda: OPERATOR)
        with serving(front, port):
            ours = run_kit(own, tmp_path)
    assert held_against(ours, of_the_sdk) == {}
