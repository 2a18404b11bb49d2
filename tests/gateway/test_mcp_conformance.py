"""The official MCP conformance suite, run against the gateway. Skipped by name where Node 22 or the suite is absent.

Install beside the checkout or anywhere: npm i @modelcontextprotocol/conformance node@22, and name that folder in ELF_CONFORMANCE.
The gateway offers tools, named <server>__<tool>, without streams: scenarios that call the suite's own tool names, or that need
resources, prompts, sampling, elicitation, logging or streams, are not what it offers, and are listed here as such.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.doubles import gateway as doubles
from tests.doubles.gateway import OPERATOR, office

FOLDER = Path(os.environ.get("ELF_CONFORMANCE", Path(__file__).parents[2])) / "node_modules"
SUITE = FOLDER / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
NODE = FOLDER / "node" / "bin" / "node"
#: What a gateway of tools can be held to.
OFFERED = ("server-initialize", "ping", "tools-list", "dns-rebinding-protection")

pytestmark = pytest.mark.skipif(
    not (SUITE.exists() and NODE.exists()),
    reason="the conformance suite needs Node 22: npm i @modelcontextprotocol/conformance node@22, ELF_CONFORMANCE=<that folder>",
)


class WithToken:
    """The suite cannot send a token: this adds the operator's, and nothing else, inside the guard."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], (b"authorization", f"Bearer {OPERATOR}".encode())]}
        await self._app(scope, receive, send)


@pytest.mark.rows("F35")
@pytest.mark.parametrize("scenario", OFFERED)
def test_the_gateway_passes_the_official_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: str
) -> None:
    guard = doubles.Guard

    def guarded(app: ASGIApp, hosts: Any) -> ASGIApp:
        return guard(WithToken(app), hosts)

    monkeypatch.setattr(doubles, "Guard", guarded)
    with office(tmp_path) as found:
        command = [str(NODE), str(SUITE), "server", "--url", f"{found.url}/mcp", "--scenario", scenario]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and re.search(r"[1-9]\d* passed|Passed: [1-9]|✓|SUCCESS", said), said
