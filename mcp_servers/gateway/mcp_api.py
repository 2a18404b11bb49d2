"""MCP's streamable HTTP at POST /mcp: every tool of every server, decided on the parsed body. Stateless, JSON answers.

A thin endpoint on the SDK's types rather than its session manager: without sessions there is nothing to manage, and a call costs
a fraction. What is forwarded is what was parsed and decided on; headers decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.shared.version import SUPPORTED_PROTOCOL_VERSIONS
from mcp.types import (
    LATEST_PROTOCOL_VERSION,
    CallToolRequestParams,
    Implementation,
    InitializeRequestParams,
    InitializeResult,
    ListToolsResult,
    ServerCapabilities,
    ToolsCapability,
)
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from mcp_servers.gateway import jsonrpc
from mcp_servers.gateway.call_headers import RUN, WAIT
from mcp_servers.gateway.door import Door, sha256
from mcp_servers.gateway.fast_lane import Endpoint, body_of, headers_of
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.jsonrpc import Call, RpcError
from mcp_servers.gateway.pass_through_messages import method_name
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.tool_calls import ToolCalls
from mcp_servers.gateway.upstreams import Upstreams

_SERVER = Implementation(name="elf-gateway", version="1")


def mcp_endpoint(door: Door, upstreams: Upstreams, calls: ToolCalls) -> Endpoint:
    """What /mcp answers. All but POST is answered 405: there is no stream to listen to and no session to end."""

    async def answer(request: Request) -> Response:
        if request.method != "POST":
            return Response(status_code=405, headers={"Allow": "POST"})
        try:
            return await _answer(door, upstreams, calls, request)
        except Refused as refused:
            return jsonrpc.unauthenticated(refused) if refused.code == "unauthenticated" else unwritten(refused)

    return answer


def unwritten(refused: Refused) -> Response:
    """The answer where even a refusal cannot be written down."""
    return jsonrpc.refusal(None, refused, 503)


def wrong_headers(headers: Mapping[str, str]) -> tuple[int, str] | None:
    content = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content != "application/json":
        return 415, "Send the request as application/json."
    accept = headers.get("accept", "*/*").lower()
    if not any(kind in accept for kind in ("application/json", "application/*", "*/*")):
        return 406, "Answers are application/json; accept it."
    version = headers.get("mcp-protocol-version")
    if version is not None and version not in SUPPORTED_PROTOCOL_VERSIONS:
        return 400, f"MCP-Protocol-Version must be one of {', '.join(SUPPORTED_PROTOCOL_VERSIONS)}."
    return None


def said(headers: Mapping[str, str]) -> tuple[str, int]:
    """The run a call belongs to, and for how many seconds it may wait for its turn: all that headers say."""
    run, wait = headers.get("x-elf-run", "none"), headers.get("x-elf-wait", "0")
    return run if RUN.fullmatch(run) else "none", int(wait) if WAIT.fullmatch(wait) else 0


async def _answer(door: Door, upstreams: Upstreams, calls: ToolCalls, request: Request) -> Response:
    """Raises `Refused` for whoever is not known: before its body is looked at, where its token says so by itself."""
    headers = headers_of(request)
    authorization = headers.get("authorization")
    if door.claimed(authorization) is None:
        await door.identify(authorization)
    body = await body_of(request)
    asked = read(headers, body)
    if isinstance(asked, tuple):
        return await _call_tool(calls, authorization, *asked, said(headers))
    caller = await door.identify(authorization)
    if isinstance(asked, Response):
        return asked
    try:
        if isinstance(asked, Call):
            return await _answer_other(door, upstreams, caller, asked)
        raise asked
    except Wrong as wrong:
        await note_wrong(door, caller, wrong, body)
        return wrong.answer()


class Wrong(RpcError):
    """A request that is none by the protocol, and the status it is answered with. `asks`: its method, if it has one."""

    def __init__(self, error: RpcError, status: int = 200, asks: str = "") -> None:
        super().__init__(error.code, error.message, error.call_id)
        self.status, self.asks = status, asks

    def answer(self) -> Response:
        return jsonrpc.error(self.call_id, self.code, self.message, self.status)


async def note_wrong(door: Door, caller: Caller, wrong: Wrong, body: bytes, server: str = "") -> None:
    """A row for a request that was refused because nobody could make sense of it. Raises `Refused` if that cannot be written."""
    asks = method_name(wrong.asks) if wrong.asks else "request"
    action = "tool.call" if asks == "tools/call" else "mcp.request"
    detail = {"why": wrong.message, "body_sha256": sha256(body)}
    await door.record(caller, action, f"{server}:{asks}" if server else asks, "refused", detail)
    door.till.observer.refused("tool", "bad_request")


def read(headers: Mapping[str, str], body: bytes) -> tuple[Call, CallToolRequestParams] | Call | Response | Wrong:
    """A tool call with its parameters, another call, an answer, or what is wrong with the request."""
    if wrong := wrong_headers(headers):
        return Wrong(RpcError(jsonrpc.INVALID_REQUEST, wrong[1]), wrong[0])
    try:
        call = jsonrpc.parse(body)
    except RpcError as error:
        return Wrong(error, 400)
    if call.notification:
        return Response(status_code=202)
    if call.method != "tools/call":
        return call
    try:
        return call, CallToolRequestParams.model_validate(call.params)
    except ValidationError as error:
        return invalid(call, error)


async def _call_tool(
    calls: ToolCalls, authorization: str | None, call: Call, params: CallToolRequestParams, said: tuple[str, int]
) -> Response:
    try:
        return jsonrpc.raw_result(call, await calls.call(authorization, params.name, params.arguments or {}, *said))
    except Refused as refused:
        if refused.code == "unauthenticated":
            raise
        return jsonrpc.refusal(call.id, refused)


async def _answer_other(door: Door, upstreams: Upstreams, caller: Caller, call: Call) -> Response:
    try:
        if call.method == "tools/list":
            return jsonrpc.result(call, await _list_tools(door, upstreams, caller))
        if call.method == "initialize":
            return jsonrpc.result(call, initialize(call))
        if call.method == "ping":
            return jsonrpc.result(call, {})
    except Refused as refused:
        return jsonrpc.refusal(call.id, refused)
    except ValidationError as error:
        raise invalid(call, error) from error
    unknown = RpcError(jsonrpc.METHOD_NOT_FOUND, f"There is no method {call.method[:80]!r} here.", call.id)
    raise Wrong(unknown, asks=call.method)


def invalid(call: Call, error: ValidationError) -> Wrong:
    """What is wrong with the parameters, without a word of them."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"])[:80]
    return Wrong(RpcError(jsonrpc.INVALID_PARAMS, f"params.{where}: {fault['msg']}", call.id), asks=call.method)


def initialize(call: Call) -> dict[str, Any]:
    asked = str(InitializeRequestParams.model_validate(call.params).protocolVersion)
    return wire(
        InitializeResult(
            protocolVersion=asked if asked in SUPPORTED_PROTOCOL_VERSIONS else LATEST_PROTOCOL_VERSION,
            capabilities=ServerCapabilities(tools=ToolsCapability(listChanged=False)),
            serverInfo=_SERVER,
        )
    )


async def _list_tools(door: Door, upstreams: Upstreams, caller: Caller) -> dict[str, Any]:
    """What the caller may call. Servers that did not answer are named in `_meta`, to those who may call something there."""
    tools, missing = await upstreams.list_tools(lambda server: door.grants.use_of(caller, server).tools)
    allowed = [tool for tool in tools if door.grants.may_call(caller, tool.name)]
    listed = wire(ListToolsResult(tools=allowed))
    return listed | {"_meta": {"elf/unavailable": missing}} if missing else listed


def wire(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
