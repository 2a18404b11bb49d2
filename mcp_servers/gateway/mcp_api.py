"""MCP's streamable HTTP at POST /mcp: every tool of every server, decided on the parsed body. Stateless, JSON answers.

A thin endpoint on the SDK's types rather than its session manager: without sessions there is nothing to manage, and a call costs
a fraction. What is forwarded is what was parsed and decided on; headers decide nothing.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
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

from mcp_servers.gateway import jsonrpc
from mcp_servers.gateway.door import Door
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.jsonrpc import Call, RpcError
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.tool_calls import ToolCalls
from mcp_servers.gateway.upstreams import Upstreams

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,119}")
_WAIT = re.compile(r"[0-9]{1,4}")
_SERVER = Implementation(name="elf-gateway", version="1")


def mcp_router(door: Door, upstreams: Upstreams, calls: ToolCalls) -> APIRouter:
    """The route /mcp. GET and DELETE are answered 405: there is no stream to listen to and no session to end."""
    router = APIRouter()

    @router.post("/mcp")
    @router.post("/mcp/")
    async def post(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        try:
            caller = await door.identify(request.headers.get("authorization"))
        except Refused as refused:
            return jsonrpc.unauthenticated(refused)
        if wrong := wrong_headers(request):
            return jsonrpc.error(None, jsonrpc.INVALID_REQUEST, wrong[1], wrong[0])
        try:
            call = jsonrpc.parse(await request.body())
        except RpcError as error:
            return jsonrpc.error(error.call_id, error.code, error.message, 400)
        if call.notification:
            return Response(status_code=202)
        return await _answer(door, upstreams, calls, caller, call, said(request))

    @router.api_route("/mcp", methods=["GET", "DELETE", "PUT", "PATCH"])
    @router.api_route("/mcp/", methods=["GET", "DELETE", "PUT", "PATCH"])
    async def other(_request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        return Response(status_code=405, headers={"Allow": "POST"})

    return router


def wrong_headers(request: Request) -> tuple[int, str] | None:
    content = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content != "application/json":
        return 415, "Send the request as application/json."
    accept = request.headers.get("accept", "*/*").lower()
    if not any(kind in accept for kind in ("application/json", "application/*", "*/*")):
        return 406, "Answers are application/json; accept it."
    version = request.headers.get("mcp-protocol-version")
    if version is not None and version not in SUPPORTED_PROTOCOL_VERSIONS:
        return 400, f"MCP-Protocol-Version must be one of {', '.join(SUPPORTED_PROTOCOL_VERSIONS)}."
    return None


def said(request: Request) -> tuple[str, int]:
    """The run a call belongs to, and for how many seconds it may wait for its turn: all that headers say."""
    run, wait = request.headers.get("x-elf-run", "none"), request.headers.get("x-elf-wait", "0")
    return run if _RUN.fullmatch(run) else "none", int(wait) if _WAIT.fullmatch(wait) else 0


async def _answer(
    door: Door, upstreams: Upstreams, calls: ToolCalls, caller: Caller, call: Call, said: tuple[str, int]
) -> Response:
    try:
        if call.method == "tools/call":
            return jsonrpc.raw_result(call, await _call_tool(calls, caller, call, said))
        if call.method == "tools/list":
            return jsonrpc.result(call, await _list_tools(door, upstreams, caller))
        if call.method == "initialize":
            return jsonrpc.result(call, initialize(call))
        if call.method == "ping":
            return jsonrpc.result(call, {})
    except Refused as refused:
        return jsonrpc.refusal(call.id, refused)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        return jsonrpc.error(call.id, jsonrpc.INVALID_PARAMS, f"params.{where}: {fault['msg']}")
    return jsonrpc.error(call.id, jsonrpc.METHOD_NOT_FOUND, f"There is no method {call.method[:80]!r} here.")


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
    """What the caller may call. Servers that did not answer are named in `_meta`."""
    tools, missing = await upstreams.list_tools()
    allowed = [tool for tool in tools if door.grants.may_call(caller, tool.name)]
    listed = wire(ListToolsResult(tools=allowed))
    return listed | {"_meta": {"elf/unavailable": missing}} if missing else listed


async def _call_tool(calls: ToolCalls, caller: Caller, call: Call, said: tuple[str, int]) -> bytes:
    params = CallToolRequestParams.model_validate(call.params)
    return await calls.call(caller, params.name, params.arguments or {}, *said)


def wire(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
