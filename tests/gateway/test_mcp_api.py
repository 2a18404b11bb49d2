"""The tools' door: the official MCP client works against it, a member sees and calls only what is granted."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamable_http_client
from mcp.server.fastmcp import FastMCP
from mcp.types import CallToolResult, TextContent, Tool

from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.upstreams import InProcessServer, Upstreams, current_caller, threaded
from policies.access import Grant
from tests.doubles.gateway import Office, office

HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


class Dead:
    """A server that hangs, or fails, at everything."""

    name = "dead"

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def list_tools(self) -> list[Tool]:
        await self._die()
        return []

    async def call_tool(self, tool: str, arguments: dict[str, Any], caller: Caller) -> CallToolResult:
        await self._die()
        return CallToolResult(content=[])

    async def _die(self) -> None:
        if self._error is not None:
            raise self._error
        await anyio.sleep(60)


@pytest.fixture
def gateway(tmp_path: Path) -> Generator[Office]:
    with office(tmp_path, servers=[Dead(RuntimeError("password=hunter2"))]) as found:
        yield found


@asynccontextmanager
async def session(gateway: Office, address: str = "marketing-team/editor") -> AsyncGenerator[ClientSession]:
    async with (
        httpx.AsyncClient(headers=gateway.headers(address)) as http,
        streamable_http_client(f"{gateway.url}/mcp", http_client=http) as (read, write, _),
        ClientSession(read, write) as found,
    ):
        await found.initialize()
        yield found


def post(gateway: Office, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.post(f"{gateway.url}/mcp", json=body, headers=HEADERS | (headers or gateway.headers()))


def call(tool: str, arguments: Any = None, **more: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments or {}} | more
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def text(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


@pytest.mark.rows("F35", "F39", "F103")
async def test_the_official_client_lists_and_calls_what_is_granted_and_it_is_written_down(gateway: Office) -> None:
    async with session(gateway) as client:
        await client.send_ping()
        assert [tool.name for tool in (await client.list_tools()).tools] == ["desk__whoami", "desk__fail", "desk__much"]
        result = await client.call_tool("desk__whoami", {"greeting": "secret greeting"})
    assert text(result) == "secret greeting marketing-team/editor"
    assert result.structuredContent == {"result": "secret greeting marketing-team/editor"}
    rows = gateway.ledger()
    assert [(row[0], row[1], row[2], row[3]) for row in rows] == [
        ("marketing-team/editor", "tool.call", "desk__whoami", "allowed"),
        ("marketing-team/editor", "tool.result", "desk__whoami", "ok"),
    ]
    assert "secret" not in str(rows) and len(rows[0][4]["arguments_sha256"]) == 64


@pytest.mark.rows("F39")
async def test_a_tool_that_is_not_granted_is_neither_listed_nor_called_and_the_rule_is_named(gateway: Office) -> None:
    async with session(gateway) as client:
        with pytest.raises(McpError, match=r"no grant in policies/access\.yaml"):
            await client.call_tool("desk__secret", {})
        with pytest.raises(McpError, match=r"no grant in policies/access\.yaml"):
            await client.call_tool("vault__everything", {})
    assert [row[3] for row in gateway.ledger("tool.call")] == ["refused", "refused"]
    assert gateway.ledger("tool.result") == []
    gateway.world.grants = (Grant(to="marketing-team/*", tools=("desk__secret",)),)
    async with session(gateway) as client:
        assert text(await client.call_tool("desk__secret", {})) == "the secret", "the grant alone stood in the way"


@pytest.mark.rows("F39")
async def test_headers_decide_nothing(gateway: Office) -> None:
    named = gateway.headers() | {"Mcp-Name": "desk__whoami", "Mcp-Method": "tools/list", "X-Elf-Caller": "devops/lead"}
    answer = post(gateway, call("desk__secret"), named).json()
    assert answer["error"]["code"] == -32050


@pytest.mark.rows("F38")
async def test_a_dead_server_concerns_nobody_else_and_tells_no_secret(gateway: Office) -> None:
    async with session(gateway, "devops/lead") as client:
        listed = await client.list_tools()
        assert "desk__secret" in [tool.name for tool in listed.tools]
        assert listed.meta == {"elf/unavailable": {"dead": "failed: RuntimeError"}}
        result = await client.call_tool("dead__anything", {})
    assert result.isError and "hunter2" not in text(result)
    assert gateway.ledger("tool.result")[-1][3] == "error"


@pytest.mark.rows("F38")
async def test_a_hanging_server_is_given_up() -> None:
    upstreams = Upstreams([Dead()], list_seconds=0.05, call_seconds=0.05)
    assert await upstreams.list_tools() == ([], {"dead": "did not answer in 0.05 s"})
    caller = Caller("a", "b", manager=False, deployment_id="d", kind="member")
    assert "did not finish in 0.05 s" in text(await upstreams.call("dead__x", {}, caller))


async def test_a_tools_error_and_wrong_arguments_are_results(gateway: Office) -> None:
    async with session(gateway) as client:
        failed = await client.call_tool("desk__fail", {})
        wrong = await client.call_tool("desk__much", {"size": "many"})
        missing = await client.call_tool("desk__whoami", {"greeting": {"not": "text"}})
    assert failed.isError and "the desk is on fire" in text(failed)
    assert wrong.isError and missing.isError


async def test_a_result_that_is_too_large_is_an_error_that_says_so(gateway: Office) -> None:
    async with session(gateway) as client:
        fits = await client.call_tool("desk__much", {"size": 90_000})
        result = await client.call_tool("desk__much", {"size": 300_000})
    assert not fits.isError
    assert result.isError and "200000 are allowed" in text(result)


NO_NAMES = [
    "",
    "desk",
    "desk__",
    "__whoami",
    "desk__who ami",
    "desk__whoami\n",
    "DESK__WHOAMI",
    "désk__a",
    "desk__\u202ewhoami",
    "a" * 300,
]


def test_names_that_are_none_are_refused(gateway: Office) -> None:
    for name in NO_NAMES:
        assert post(gateway, call(name)).json()["error"]["code"] == -32602, name
    rows = gateway.ledger()
    assert [row[1:4] for row in rows] == [("tool.call", "no name of a tool", "refused")] * len(NO_NAMES)
    assert not any(name.strip() in str(rows) for name in NO_NAMES if not name.isascii() or len(name) > 50)


def test_what_is_not_a_request_is_answered_by_the_book(gateway: Office) -> None:
    head = {"jsonrpc": "2.0", "id": 1}
    wrong: list[tuple[Any, int, int]] = [
        ([call("desk__whoami")], 400, -32600),
        ("text", 400, -32600),
        ({"id": 1, "method": "ping"}, 400, -32600),
        (head, 400, -32600),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, 400, -32600),
        (head | {"method": "ping", "params": []}, 400, -32602),
        (head | {"method": "resources/list"}, 200, -32601),
        (head | {"method": "tools/call", "params": {}}, 200, -32602),
        (head | {"method": "tools/call", "params": {"name": "desk__a", "arguments": []}}, 200, -32602),
    ]
    for number, (body, status, code) in enumerate(wrong, start=1):
        answer = post(gateway, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), body
        assert len(gateway.ledger()) == number, f"each refusal has its row: {body}"
    rows = gateway.ledger()
    assert {(row[0], row[3]) for row in rows} == {("marketing-team/editor", "refused")}
    assert [row[1:3] for row in rows][-3:] == [("mcp.request", "resources/list"), *[("tool.call", "tools/call")] * 2]
    assert rows[-1][4]["why"].startswith("params.arguments: ") and len(rows[-1][4]["body_sha256"]) == 64


def test_the_transport_is_answered_by_the_book(gateway: Office) -> None:
    url, mine = f"{gateway.url}/mcp", gateway.headers()
    for method in ("GET", "DELETE"):
        answer = httpx.request(method, url, headers=mine)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert httpx.post(url, json=ping, headers=mine | {"Accept": "text/html"}).status_code == 406
    assert httpx.post(url, content=b"{}", headers=mine | {"Content-Type": "text/plain"}).status_code == 415
    assert post(gateway, ping, mine | {"MCP-Protocol-Version": "1999-01-01"}).status_code == 400
    assert post(gateway, ping, mine | {"MCP-Protocol-Version": "2025-06-18"}).json()["result"] == {}
    assert post(gateway, {"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202
    assert httpx.post(url, content=b'{"jsonrpc": NaN}', headers=HEADERS | mine).json()["error"]["code"] == -32700


@pytest.mark.rows("F103")
def test_a_refusal_that_cannot_be_written_down_says_so_and_blames_no_token(
    gateway: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as disk:
        disk.setattr(gateway.database.engine, "raw_connection", full)
        answer = post(gateway, "text")
    assert (answer.status_code, answer.json()["error"]["data"]["reason"]) == (503, "overloaded")


@pytest.mark.rows("F39")
def test_without_a_token_nothing_is_listed_or_called(gateway: Office) -> None:
    for body in (call("desk__whoami"), {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}):
        answer = httpx.post(f"{gateway.url}/mcp", json=body, headers=HEADERS)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="elf"')


async def test_a_blocking_tool_runs_in_a_thread_and_still_knows_who_called() -> None:
    server: FastMCP[Any] = FastMCP("slow", log_level="ERROR")

    def who(greeting: str, times: int = 1) -> dict[str, str]:
        """Says who called."""
        assert threading.current_thread() is not threading.main_thread()
        return {"text": greeting * times + current_caller().address}

    server.tool()(threaded(who))
    adapter = InProcessServer("slow", server)
    [tool] = await adapter.list_tools()
    assert tool.description == "Says who called." and tool.inputSchema["required"] == ["greeting"]
    caller = Caller("devops", "lead", manager=True, deployment_id="d", kind="member")
    result = await adapter.call_tool("who", {"greeting": "hi ", "times": 2}, caller)
    assert result.structuredContent == {"text": "hi hi devops/lead"}
    with pytest.raises(LookupError):
        current_caller()


@pytest.mark.rows("F39", "L7")
def test_a_member_whose_deployment_ended_is_refused_at_its_next_call_whatever_it_sends(gateway: Office) -> None:
    headers = gateway.headers()
    assert "result" in post(gateway, call("desk__whoami"), headers).json()
    gateway.world.alive.clear()
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for body in (call("desk__whoami"), call("no such name"), call("desk__whoami", [1]), ping, [], {"id": {}}):
        answer = post(gateway, body, headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="elf"'), body
    assert [row[3] for row in gateway.ledger("tool.call")] == ["allowed"], "nothing more was allowed or even looked at"
    assert {row[3] for row in gateway.ledger("identify")} == {"refused"}


@pytest.mark.rows("F39", "L7")
def test_planted_hole_a_gateway_that_trusts_the_signature_it_remembers_lets_the_ended_in(
    gateway: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = gateway.headers()
    gateway.world.alive.clear()

    def by_signature(authorization: str | None, now: datetime, _rows: object) -> Caller:
        return gateway.identity.claimed(authorization, now)

    monkeypatch.setattr(gateway.identity, "identify", by_signature)
    assert "result" in post(gateway, call("desk__whoami"), headers).json()


@pytest.mark.rows("F103", "L7")
def test_a_call_that_cannot_be_written_down_is_not_made(gateway: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    async def spy(name: str, arguments: dict[str, Any], caller: Caller) -> CallToolResult:
        made.append(name)
        return CallToolResult(content=[])

    def full() -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(gateway.gateway.upstreams, "call", spy)
    with monkeypatch.context() as disk:
        disk.setattr(gateway.database.engine, "raw_connection", full)
        refused = post(gateway, call("desk__whoami")).json()["error"]
    assert refused["data"]["reason"] == "overloaded" and "free some room" in refused["message"]
    assert made == [], "no call without its row"
    assert "result" in post(gateway, call("desk__whoami")).json() and made == ["desk__whoami"]


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/v1/chat/completions"])
def test_the_busiest_paths_take_post_alone(gateway: Office, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = httpx.request(method, f"{gateway.url}{path}", headers=gateway.headers())
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
