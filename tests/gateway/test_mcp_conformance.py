"""The official MCP conformance suite, run against one server behind the gateway. Skipped by name where Node 22 or the suite is absent.

Install beside the checkout or anywhere: npm i @modelcontextprotocol/conformance@0.1.16 node@22, and name that folder in ELF_CONFORMANCE.
The server is the one that the suite wants to find, admitted with its tools' definitions; the suite comes as a member of a team,
with those grants alone that it needs, through everything that any member passes.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.doubles.everything import everything_served
from tests.doubles.everything_gateway import REST, TOOLS, behind_the_gateway
from tests.doubles.gateway import World

FOLDER = Path(os.environ.get("ELF_CONFORMANCE", Path(__file__).parents[2])) / "node_modules"
SUITE = FOLDER / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
NODE = FOLDER / "node" / "bin" / "node"
#: Scenarios and checks of version 0.1.16: its default suite, and with the ones it calls pending.
ACTIVE, ALL = (30, 40), (32, 47)

needs_node = pytest.mark.skipif(
    not (SUITE.exists() and NODE.exists()),
    reason="the conformance suite needs Node 22: npm i @modelcontextprotocol/conformance@0.1.16 node@22, ELF_CONFORMANCE=<that folder>",
)


def run_suite(url: str, folder: Path, suite: str) -> tuple[str, dict[str, int], int]:
    """What it said, the checks passed by scenario, and how many failed."""
    command = [str(NODE), str(SUITE), "server", "--url", url, "--suite", suite]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, cwd=folder)
    said = done.stdout + done.stderr
    found = re.findall(r"[✓✗] ([a-z0-9-]+): (\d+) passed, (\d+) failed", said)
    return said, {name: int(passed) for name, passed, _ in found}, sum(int(failed) for *_, failed in found)


@needs_node
@pytest.mark.rows("F35")
def test_the_official_suite_passes_whole_through_the_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with behind_the_gateway(tmp_path, monkeypatch, World(grants=TOOLS, servers=REST)) as (found, url):
        said, passed, failed = run_suite(url, tmp_path, "all")
        rows = found.ledger()
    assert failed == 0 and (len(passed), sum(passed.values())) == ALL, said
    assert {row[1] for row in rows} >= {
        "tool.call",
        "tool.result",
        "mcp.session",
        "mcp.request",
        "mcp.result",
        "mcp.ask",
    }
    assert all(row[3] != "refused" for row in rows if row[0] == "marketing-team/editor"), (
        "nothing that the suite does is beyond its grants"
    )


@needs_node
@pytest.mark.rows("F35")
def test_the_default_suite_finds_through_the_gateway_what_it_finds_at_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with everything_served() as address:
        said, directly, failed = run_suite(address, tmp_path, "active")
    assert failed == 0 and (len(directly), sum(directly.values())) == ACTIVE, said
    with behind_the_gateway(tmp_path, monkeypatch, World(grants=TOOLS, servers=REST)) as (_, url):
        said, passed, failed = run_suite(url, tmp_path, "active")
    assert failed == 0 and passed == directly, said


@needs_node
@pytest.mark.rows("F39")
def test_without_its_grants_the_suite_fails_where_they_were_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with behind_the_gateway(tmp_path, monkeypatch, World(grants=TOOLS)) as (_, url):
        said, passed, failed = run_suite(url, tmp_path, "active")
    assert failed > 0 and len(passed) == ACTIVE[0], said
    for name in ("tools-call-sampling", "tools-call-elicitation", "resources-read-text", "prompts-get-simple"):
        assert passed[name] == 0, name
    for name in ("tools-call-simple-text", "tools-call-with-progress", "tools-list", "ping"):
        assert passed[name] == 1, name
