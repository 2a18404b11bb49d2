"""The CEO's tools over MCP's streamable HTTP, at one address for people's own clients. Stateless, JSON answers; nobody else's tools."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from mcp.server.fastmcp import FastMCP
from mcp.types import CallToolRequestParams, Implementation, ListToolsResult
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from bootstrap.office.ceo_tools import INSTRUCTIONS, Client
from mcp_servers.gateway import jsonrpc, mcp_api
from mcp_servers.gateway.door import sha256
from mcp_servers.gateway.fast_lane import Endpoint
from mcp_servers.gateway.identity import PERSON
from mcp_servers.gateway.in_process import InProcessServer
from mcp_servers.gateway.jsonrpc import Call
from mcp_servers.gateway.reception import LOOKS_PER_MINUTE, SAYS_PER_MINUTE, Reception, Speaker
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.upstreams import UNTRUSTED, dump

PATH = "/ceo/mcp"
_SERVER = Implementation(name="elf-ceo", version="1")
_TALKS = "talk_to_ceo"

_client: ContextVar[Client] = ContextVar("client")


def current_client() -> Client:
    """Whose call is being answered. `LookupError` outside of one."""
    return _client.get()


def ceo_mcp_endpoint(server: FastMCP[Any], reception: Reception) -> Endpoint:
    """What /ceo/mcp answers. All but POST is answered 405: there is no stream to listen to and no session to end."""
    tools = InProcessServer("ceo", server)

    async def answer(request: Request) -> Response:
        if request.method != "POST":
            return Response(status_code=405, headers={"Allow": "POST"})
        try:
            speaker = await reception.speaker(request.headers.get("authorization"), PATH)
        except Refused as refused:
            known = refused.code != "unauthenticated"
            return jsonrpc.refusal(None, refused, 403) if known else jsonrpc.unauthenticated(refused)
        asked = mcp_api.read(request.headers, await request.body())
        if isinstance(asked, Response | mcp_api.Wrong):
            return asked.answer() if isinstance(asked, mcp_api.Wrong) else asked
        call, params = asked if isinstance(asked, tuple) else (asked, None)
        try:
            return await _answered(tools, reception, speaker, call, params)
        except Refused as refused:
            return jsonrpc.refusal(call.id, refused)
        except ValidationError as error:
            return mcp_api.invalid(call, error).answer()

    return answer


async def _answered(
    tools: InProcessServer, reception: Reception, speaker: Speaker, call: Call, params: CallToolRequestParams | None
) -> Response:
    """Raises `Refused`."""
    if params is not None:
        talks = params.name == _TALKS
        await reception.admit(
            speaker, f"{PATH} to {'talk' if talks else 'look'}", SAYS_PER_MINUTE if talks else LOOKS_PER_MINUTE
        )
        return await _called(tools, reception, speaker, call, params)
    if call.method == "tools/list":
        return jsonrpc.result(call, mcp_api.wire(ListToolsResult(tools=await tools.list_tools())))
    if call.method == "initialize":
        ours = {"serverInfo": mcp_api.wire(_SERVER), "instructions": INSTRUCTIONS}
        return jsonrpc.result(call, mcp_api.initialize(call) | ours)
    if call.method == "ping":
        return jsonrpc.result(call, {})
    return jsonrpc.error(call.id, jsonrpc.METHOD_NOT_FOUND, f"There is no method {call.method[:80]!r} here.")


async def _called(
    tools: InProcessServer, reception: Reception, speaker: Speaker, call: Call, params: CallToolRequestParams
) -> Response:
    """A row before and a row after, as for every tool."""
    known = {tool.name for tool in await tools.list_tools()}
    if params.name not in known:
        raise Refused("not_found", f"There is no such tool here; there are {', '.join(sorted(known))}.")
    arguments = params.arguments or {}
    subject, told = f"ceo__{params.name}", {"token": speaker.token, "arguments_sha256": sha256(to_json(arguments))}
    await reception.door.record(PERSON, "tool.call", subject, "allowed", told)

    async def note(outcome: str, correlation_id: str) -> None:
        await reception.note(speaker, PATH, outcome, {"correlation_id": correlation_id})

    held, outcome, digest = _client.set(Client(speaker, note)), "broken", None
    try:
        result = await tools.call_tool(params.name, arguments, PERSON)
        wire = dump(result.model_copy(update={"meta": UNTRUSTED}))
        outcome, digest = ("error" if result.isError else "ok"), sha256(wire)
    finally:
        _client.reset(held)
        await reception.door.record(
            PERSON, "tool.result", subject, outcome, {"token": speaker.token, "result_sha256": digest}
        )
    return jsonrpc.raw_result(call, wire)
