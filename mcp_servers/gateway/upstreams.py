"""Tool servers behind the gateway: what the gateway needs of one, and how a FastMCP object in this process becomes one."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, cast

import anyio
from anyio import to_thread
from mcp.server.fastmcp import FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import CallToolResult, ContentBlock, TextContent, Tool

from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.refusals import Refused

LIST_SECONDS = 5.0
CALL_SECONDS = 60.0
MAX_RESULT_BYTES = 200_000

_caller: ContextVar[Caller] = ContextVar("caller")


class ToolServer(Protocol):
    """One server behind the gateway. Its tools are named without the server's name."""

    name: str

    async def list_tools(self) -> list[Tool]: ...
    async def call_tool(self, tool: str, arguments: dict[str, Any], caller: Caller) -> CallToolResult: ...


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
            return error_result(str(error))
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


class Upstreams:
    """All servers by name. One that hangs or fails concerns nobody else."""

    def __init__(
        self, servers: Sequence[ToolServer], list_seconds: float = LIST_SECONDS, call_seconds: float = CALL_SECONDS
    ) -> None:
        self._servers: Mapping[str, ToolServer] = {server.name: server for server in servers}
        if len(self._servers) != len(servers):
            raise ValueError("tool servers must have different names")
        self._list_seconds = list_seconds
        self._call_seconds = call_seconds

    async def list_tools(self) -> tuple[list[Tool], dict[str, str]]:
        """Every tool, named `<server>__<tool>`, and why servers that did not answer are missing."""
        found: dict[str, list[Tool]] = {}
        missing: dict[str, str] = {}

        async def ask(server: ToolServer) -> None:
            try:
                with anyio.fail_after(self._list_seconds):
                    found[server.name] = await server.list_tools()
            except TimeoutError:
                missing[server.name] = f"did not answer in {self._list_seconds:g} s"
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one server, the others are listed
                missing[server.name] = f"failed: {type(error).__name__}"

        async with anyio.create_task_group() as group:
            for server in self._servers.values():
                group.start_soon(ask, server)
        tools = [
            tool.model_copy(update={"name": f"{name}__{tool.name}"}) for name in sorted(found) for tool in found[name]
        ]
        return tools, missing

    async def call(self, name: str, arguments: dict[str, Any], caller: Caller) -> CallToolResult:
        """The tool's result; an `isError` result if it failed, took too long, or gave too much. `Refused`: no such server."""
        server_name, _, tool = name.partition("__")
        server = self._servers.get(server_name)
        if server is None:
            raise Refused("not_found", f"There is no tool {name[:80]!r}; tools/list shows those you may call.")
        try:
            with anyio.fail_after(self._call_seconds):
                result = await server.call_tool(tool, arguments, caller)
        except TimeoutError:
            return error_result(f"{name} did not finish in {self._call_seconds:g} s; try again later, or ask for less.")
        except Exception as error:  # noqa: BLE001 - a server's fault is the tool's result, not the gateway's end
            return error_result(f"{name} failed: {type(error).__name__}. Its server is at fault; try again later.")
        size = len(dump(result))
        if size > MAX_RESULT_BYTES:
            return error_result(f"{name} gave {size} bytes; {MAX_RESULT_BYTES} are allowed. Ask for less at a time.")
        return result


def error_result(message: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=message)], isError=True)


def dump(result: CallToolResult) -> bytes:
    """The result as it goes over the wire."""
    return result.model_dump_json(by_alias=True, exclude_none=True).encode()


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
