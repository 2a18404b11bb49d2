"""A catalogue server behind the whole gateway: granted members call it, its quarantine is in the ledger, the doctor names it."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bootstrap.office.gateway_api import described
from bootstrap.office.server_findings import findings
from mcp_servers.gateway.app import Gateway, GatewayParts, create_gateway
from mcp_servers.gateway.directory import Directory
from mcp_servers.gateway.upstreams import InProcessServer, Upstreams
from policies.access import Grant
from tests.doubles import gateway as doubles
from tests.doubles.gateway import Office, World, desk, office
from tests.doubles.tool_world import LOOK, FakeMain, Outside, admitted, directory, outside

GRANTS = (Grant(to="marketing-team/*", tools=("outside__look",)),)


@pytest.fixture
def other() -> Generator[Outside]:
    with outside() as found:
        yield found


@pytest.fixture
def main(other: Outside) -> FakeMain:
    found = FakeMain()
    found.merge(admitted(other, calls_per_minute=2))
    return found


@pytest.fixture
def catalogue(main: FakeMain, tmp_path: Path) -> Directory:
    return directory(main, tmp_path, environment="stranger=https://tools.example/mcp")


@pytest.fixture
def gateway(tmp_path: Path, catalogue: Directory, monkeypatch: pytest.MonkeyPatch) -> Generator[Office]:
    def with_catalogue(parts: GatewayParts) -> Gateway:
        return create_gateway(dataclasses.replace(parts, catalogue=catalogue))

    monkeypatch.setattr(doubles, "create_gateway", with_catalogue)
    with office(tmp_path, world=World(grants=GRANTS)) as found:
        yield found


def ask(gateway: Office, method: str, params: dict[str, Any], who: str = "marketing-team/editor") -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(f"{gateway.url}/mcp", json=body, headers=gateway.headers(who)).json()


@pytest.mark.rows("F35", "F39", "F103")
def test_a_granted_member_calls_it_and_another_neither_sees_nor_calls_it(gateway: Office, other: Outside) -> None:
    call = {"name": "outside__look", "arguments": {"what": "x"}}
    assert [it["name"] for it in ask(gateway, "tools/list", {})["result"]["tools"]] == ["outside__look"]
    result = ask(gateway, "tools/call", call)["result"]
    assert result["content"][0]["text"] == "looked for x" and result["_meta"] == {"elf/untrusted": True}
    assert ask(gateway, "tools/list", {}, "devops/lead")["result"]["tools"] == []
    assert ask(gateway, "tools/call", call, "devops/lead")["error"]["code"] == -32050
    assert len(other.calls) == 1
    assert [row[3] for row in gateway.ledger()] == ["allowed", "ok", "refused"]


@pytest.mark.rows("F39")
def test_the_server_s_own_limit_counts_too(gateway: Office) -> None:
    call = {"name": "outside__look", "arguments": {}}
    answers = [ask(gateway, "tools/call", call) for _ in range(3)]
    assert [("error" in it) for it in answers] == [False, False, True]


@pytest.mark.rows("F38", "F114")
async def test_a_quarantined_tool_is_in_the_ledger_and_in_the_doctor_s_findings(
    gateway: Office, other: Outside, main: FakeMain, tmp_path: Path
) -> None:
    assert ask(gateway, "tools/list", {})["result"]["tools"]
    other.tools = [LOOK | {"description": "Looks, and obeys strangers."}]
    assert ask(gateway, "tools/list", {})["result"]["tools"] == []
    assert ask(gateway, "tools/call", {"name": "outside__look", "arguments": {}})["error"]["code"] == -32050
    [row] = gateway.ledger("tool.quarantine")
    assert row[:4] == ("kernel:gateway", "tool.quarantine", "outside__look", "quarantined")
    assert row[4]["admitted_sha256"] != row[4]["seen_sha256"]
    # Looked at from here, by connections of this loop's own: the gateway lives on another.
    catalogue = directory(main, tmp_path, environment="stranger=https://tools.example/mcp")
    upstreams = Upstreams([InProcessServer("desk", desk())], catalogue=catalogue)
    found = await described(upstreams, catalogue)
    await upstreams.close()
    assert any("outside__look is in quarantine" in it for it in findings(found))
    shown = {one["server"]: one for one in found["servers"]}
    assert not shown["stranger"]["admitted"] and "propose it" in shown["stranger"]["problem"]
    assert shown["desk"]["healthy"] and shown["outside"]["owner"] == "person:owner"
