"""A FastMCP object of this process as a tool server, and what its functions may ask: who is calling."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any, cast

from anyio import to_thread
from mcp.server.fastmcp import FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import CallToolResult, ContentBlock, TextContent, Tool

from mcp_servers.gateway.identity import Caller

_caller: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """Who called the tool that is running. `LookupError` outside of a tool call."""
    return _caller.get()


class InProcessServer:
    """A FastMCP object in this process. Its plain functions run in worker threads, its async functions on the event loop."""

    def __init__(self, name: str, server: FastMCP[Any]) -> None:
        self.name = name
        self._server = server

    async def list_tools(self) -> list[Tool]:
        return await self._server.list_tools()

    async def call_tool(self, tool: str, arguments: dict[str, Any], caller: Caller) -> CallToolResult:
        token = _caller.set(caller)
        try:
            given: object = await self._server.call_tool(tool, arguments)
        except ToolError as error:
            return CallToolResult(content=[TextContent(type="text", text=str(error))], isError=True)
        finally:
            _caller.reset(token)
        return _result(given)


def threaded(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Makes a blocking tool function run in a worker thread. Use as `server.tool()(threaded(function))`.

    FastMCP would run it on the event loop, where a slow one stops the whole kernel.
    """
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{function.__name__} is async already")

    async def call(**arguments: Any) -> Any:
        return await to_thread.run_sync(lambda: function(**arguments))

    call.__name__, call.__doc__ = function.__name__, function.__doc__
    call.__annotations__ = function.__annotations__
    call.__signature__ = inspect.signature(function, eval_str=True)  # pyright: ignore[reportFunctionMemberAccess] - read by inspect
    return call


def _result(given: object) -> CallToolResult:
    """What FastMCP gives for a call: a result, content, structured content, or a pair of both."""
    if isinstance(given, CallToolResult):
        return given
    if isinstance(given, tuple):
        content, structured = cast("tuple[Sequence[ContentBlock], dict[str, Any]]", given)
        return CallToolResult(content=list(content), structuredContent=structured)
    if isinstance(given, dict):
        structured = cast("dict[str, Any]", given)
        text = TextContent(type="text", text=json.dumps(structured, indent=2))
        return CallToolResult(content=[text], structuredContent=structured)
    return CallToolResult(content=list(cast("Sequence[ContentBlock]", given)))
