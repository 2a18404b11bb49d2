"""An internal server of the catalogue, served: by the gateway in its own process, or alone in a container."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from mcp.types import CallToolResult, TextContent, Tool
from pydantic_core import to_json

from mcp_servers.addresses import AddressRefused
from mcp_servers.catalog_runtime.steps import StepFailed, run
from mcp_servers.safe_http import HttpFailed, SafeHttp
from mcp_servers.server_spec import ServerSpec

Headers = Callable[[], Mapping[str, str]]


class InternalServer:
    """The tools of one spec. `headers` gives the credentials' headers for its sources."""

    def __init__(self, spec: ServerSpec, http: SafeHttp, headers: Headers) -> None:
        self.name = spec.name
        self._spec, self._http, self._headers = spec, http, headers
        self._tools = {tool.name: tool for tool in spec.tools}

    async def list_tools(self) -> list[Tool]:
        return [Tool(name=it.name, description=it.description, inputSchema=it.schema_) for it in self._spec.tools]

    async def call_tool(self, tool: str, arguments: dict[str, Any], caller: object) -> CallToolResult:
        del caller
        return await self.call(tool, arguments)

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
        """The tool's value, as text and, where it is an object, as structured content."""
        found = self._tools.get(tool)
        if found is None:
            return _failed(f"there is no tool {tool[:60]!r}")
        try:
            value = await run(found, arguments, self._fetch)
        except StepFailed as error:
            return _failed(str(error))
        text = value if isinstance(value, str) else to_json(value).decode()
        structured = cast("dict[str, Any]", value) if isinstance(value, dict) else None
        return CallToolResult(content=[TextContent(type="text", text=text)], structuredContent=structured)

    async def close(self) -> None:
        """Holds nothing of its own."""

    async def _fetch(self, url: str, query: Mapping[str, str]) -> bytes:
        try:
            answer = await self._http.request(
                "GET",
                url,
                headers={"Accept": "application/json, text/*", **self._headers()},
                params=query,
                timeout_seconds=self._spec.timeout_seconds,
                max_bytes=self._spec.max_result_bytes,
            )
        except (HttpFailed, AddressRefused) as error:
            raise StepFailed(f"the source: {error}") from error
        if answer.status != 200:
            raise StepFailed(f"the source answered {answer.status}")
        return answer.body


def typed(server: InternalServer) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a function's name and arguments a call of the spec's tool of that name: its body says nothing of its own."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function, eval_str=True)

        async def call(**arguments: Any) -> CallToolResult:
            given = {name: value for name, value in arguments.items() if value is not None}
            return await server.call(function.__name__, given)

        call.__name__, call.__doc__ = function.__name__, function.__doc__
        call.__annotations__ = {**function.__annotations__, "return": CallToolResult}
        call.__signature__ = signature.replace(return_annotation=CallToolResult)  # pyright: ignore[reportFunctionMemberAccess] - read by inspect
        return call

    return decorate


def _failed(message: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=message)], isError=True)
