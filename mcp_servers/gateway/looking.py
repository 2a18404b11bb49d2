"""Looks at a tool server that the company does not have yet: what it says its tools are, and which of them could be admitted.

Nothing is admitted by looking, and no secret is sent. Addresses are judged as at every connection; a program runs shut in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from mcp.types import Tool
from pydantic import ValidationError

from mcp_servers.factories.spec_files import explain
from mcp_servers.gateway.http_server import HttpServer
from mcp_servers.gateway.rpc_server import RpcServer, ToolRefused, UpstreamFailed
from mcp_servers.gateway.stdio_server import StdioServer
from mcp_servers.safe_http import Resolve, SafeHttp
from mcp_servers.server_spec import MAX_TOOLS, ServerSpec, ToolSpec, fixed_host

LOOK_SECONDS = 10.0
_MOST_BYTES = 1_000_000
#: What one look gives back at most: the definitions go into a model's prompt.
_MOST_SHOWN = 120_000


class CannotLook(Exception):
    """Why the server could not be looked at, and what a person can do. Holds nothing that the server said."""


class Looker:
    """`programs` and `own_networks` are the law's as main has it now. `folder` is where programs may write while they are looked at."""

    def __init__(
        self,
        own_networks: Callable[[], Sequence[str]],
        programs: Callable[[], Mapping[str, Sequence[str]]],
        folder: Path,
        resolve: Resolve | None = None,
    ) -> None:
        self._own_networks, self._programs, self._folder, self._resolve = own_networks, programs, folder, resolve

    @property
    def programs(self) -> Mapping[str, Sequence[str]]:
        """The catalogue of programs: name -> command."""
        return self._programs()

    async def at_url(self, url: str) -> list[dict[str, Any]]:
        """The tools of an MCP server over HTTP. Raises `CannotLook`."""
        try:
            fixed_host(url)
        except ValueError as error:
            raise CannotLook(str(error)) from error
        http = SafeHttp(self._own_networks, self._resolve)
        server = HttpServer("look", url, http, dict, timeout_seconds=LOOK_SECONDS, max_bytes=_MOST_BYTES)
        try:
            return await _looked(server, url)
        finally:
            await http.close()

    async def at_program(self, name: str) -> tuple[list[str], list[dict[str, Any]]]:
        """The command of a program of the catalogue, and its tools. Raises `CannotLook`."""
        command = self.programs.get(name)
        if command is None:
            known = ", ".join(sorted(self.programs)) or "none"
            raise CannotLook(
                f"no program {name[:40]!r} in the catalogue of programs (there: {known}); a person adds it to programs in "
                "policies/access.yaml before it can be wrapped"
            )
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with TemporaryDirectory(dir=self._folder, prefix="look-") as folder:
            server = StdioServer(name, command, Path(folder), dict, timeout_seconds=LOOK_SECONDS, max_bytes=_MOST_BYTES)
            try:
                return list(command), await _looked(server, f"the program {name}")
            finally:
                await server.close()


async def _looked(server: RpcServer, what: str) -> list[dict[str, Any]]:
    try:
        with anyio.fail_after(LOOK_SECONDS):
            tools = await server.list_tools()
    except TimeoutError as error:
        raise CannotLook(f"{what} did not answer in {LOOK_SECONDS:g} s as an MCP server") from error
    except UpstreamFailed as error:
        raise CannotLook(f"{what}: {error}") from error
    except ToolRefused as error:
        raise CannotLook(f"{what} is no MCP server that tells its tools without credentials") from error
    except OSError as error:
        raise CannotLook(f"{what} cannot be run or reached ({type(error).__name__})") from error
    if not tools:
        raise CannotLook(f"{what} says that it has no tools")
    shown, size = list[dict[str, Any]](), 0
    for tool in tools[:MAX_TOOLS]:
        found = _described(tool)
        size += len(str(found))
        if size > _MOST_SHOWN:
            break
        shown.append(found)
    return shown


def _described(tool: Tool) -> dict[str, Any]:
    """The tool's definition as it would be admitted, or why it cannot be."""
    definition = {"name": tool.name, "description": tool.description, "input_schema": tool.inputSchema}
    if problem := _problem(definition):
        return {"name": tool.name[:60], "problem": problem}
    return definition


def _problem(definition: Mapping[str, Any]) -> str | None:
    """What keeps it out of a spec; the spec's own rules say."""
    whole = {
        "name": "look",
        "kind": "http",
        "purpose": "look",
        "description": "look",
        "owner": "kernel",
        "tools": [{key: value for key, value in definition.items() if value is not None}],
    }
    try:
        ToolSpec.model_validate(whole["tools"][0])
        ServerSpec.model_validate(whole)
    except ValidationError as error:
        return explain(error)[0][:300]
    except RecursionError:
        return "its schema is nested too deeply"
    return None
