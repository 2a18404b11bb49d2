"""A tool server that speaks MCP's JSON-RPC, by whatever carries it: the questions, and what counts as an answer.

Thin on purpose: the gateway asks for tools and calls them. What else a server sends (requests to sample, notifications, instructions)
is not answered and goes nowhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, cast

from mcp.types import LATEST_PROTOCOL_VERSION, CallToolResult, ContentBlock, Tool
from pydantic import Field, ValidationError
from pydantic_core import from_json, to_json

from mcp_servers.gateway.identity import Caller

MAX_PAGES = 20
#: More tools than anybody admits; the rest of a longer list is not even read.
MAX_LISTED = 500
_MAX_TEXT = 500

#: Carries one question, its method and parameters, and brings the result object.
Ask = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class UpstreamFailed(Exception):
    """The server gave no usable answer. The text is shown to callers: it holds no secret."""


class Busy(UpstreamFailed):
    """The server is at work on somebody else's question, and there was no turn for this one in time. It is not ill."""


class ToolRefused(Exception):
    """The server's own error for a call; its text is the server's, and so data."""


class _Result(CallToolResult):
    """The same results, read in half the time: a block's type says which of the kinds it has to be."""

    content: list[Annotated[ContentBlock, Field(discriminator="type")]]


class RpcServer(ABC):
    """`ask` carries one question; the rest is the same for every carrier."""

    name: str

    @abstractmethod
    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """The result object. Raises `UpstreamFailed`, `ToolRefused`, `TimeoutError`."""

    @abstractmethod
    async def close(self) -> None:
        """Ends connections and processes; a later question opens them anew."""

    async def list_tools(self) -> list[Tool]:
        """What the server says it has."""
        return await listed_by(self.ask)

    async def call_tool(self, tool: str, arguments: dict[str, Any], caller: Caller) -> CallToolResult:
        """The tool's result. Who called is nobody else's business: the server is not told."""
        del caller
        result = await self.ask("tools/call", {"name": tool, "arguments": arguments})
        try:
            return _Result.model_validate(result)
        except ValidationError as error:
            raise UpstreamFailed("its result is none by the protocol") from error


async def listed_by(ask: Ask) -> list[Tool]:
    """What a server says it has, in pages, up to a limit. Raises as `ask` does."""
    tools: list[Tool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        result = await ask("tools/list", {"cursor": cursor} if cursor else {})
        listed = result.get("tools")
        if not isinstance(listed, list):
            raise UpstreamFailed("its list of tools is no list")
        tools += _tools(cast("list[object]", listed)[: MAX_LISTED - len(tools)])
        following = result.get("nextCursor")
        if not isinstance(following, str) or len(tools) >= MAX_LISTED:
            break
        cursor = following
    return tools


def question(call_id: int | None, method: str, params: Mapping[str, Any]) -> bytes:
    """A request, or a notification without an id."""
    body: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    return to_json(body if call_id is None else body | {"id": call_id})


def greeting() -> dict[str, Any]:
    """The parameters of `initialize`. No capability is offered, so a well-behaved server asks for nothing."""
    info = {"name": "elf-gateway", "version": "1"}
    return {"protocolVersion": LATEST_PROTOCOL_VERSION, "capabilities": {}, "clientInfo": info}


def answer_to(call_id: int, message: bytes) -> Mapping[str, Any] | None:
    """The result in a message; None if it answers something else. Raises as `RpcServer.ask` does."""
    found = message_in(message)
    if found.get("id") != call_id or "method" in found:
        return None
    if isinstance(fault := found.get("error"), dict):
        raise ToolRefused(str(cast("dict[str, Any]", fault).get("message", "no reason given"))[:_MAX_TEXT])
    result = found.get("result")
    if not isinstance(result, dict):
        raise UpstreamFailed("its answer has no result")
    return cast("dict[str, Any]", result)


def message_in(data: bytes) -> dict[str, Any]:
    """The JSON-RPC message that a server sent. Raises `UpstreamFailed`."""
    try:
        given = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise UpstreamFailed("its answer is no JSON") from error
    if not isinstance(given, dict):
        raise UpstreamFailed("its answer is no JSON-RPC message")
    return cast("dict[str, Any]", given)


def _tools(listed: list[object]) -> list[Tool]:
    """Those that are tools by the protocol; one that is not hides nobody else."""
    found: list[Tool] = []
    for one in listed:
        try:
            found.append(Tool.model_validate(one))
        except ValidationError:
            continue
    return found
