"""Tool servers behind the gateway: what the gateway needs of one, and all of them together.

One that hangs, fails, or is no longer what was admitted concerns nobody else. What a server answers is data: cut to size,
freed of the secrets it was given, marked untrusted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import anyio
from mcp.types import CallToolResult, TextContent, Tool
from pydantic import BaseModel

from mcp_servers.gateway.admission import Quarantined, Terms
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.in_process import InProcessServer, current_caller, threaded
from mcp_servers.gateway.looks import Looks
from mcp_servers.gateway.redaction import redact
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.rpc_server import Busy, ToolRefused, UpstreamFailed
from mcp_servers.gateway.served import OnQuarantine, Served, ToolServer

__all__ = ["InProcessServer", "ToolServer", "Upstreams", "current_caller", "threaded"]

LIST_SECONDS = 5.0
CALL_SECONDS = 60.0
MAX_RESULT_BYTES = 200_000
#: How old what is known of a server's definitions may be when one of its tools is called.
CHECK_SECONDS = 30.0
UNTRUSTED = {"elf/untrusted": True}

log = logging.getLogger(__name__)


class Catalogue(Protocol):
    """The servers beside the kernel's own, as main admits them now."""

    async def served(self) -> Mapping[str, Served]: ...
    def terms_of(self, builtin: str) -> Terms | None: ...
    async def close(self) -> None: ...


def _every(_server: str) -> bool:
    return True


class Upstreams:
    """All servers by name."""

    def __init__(
        self,
        servers: Sequence[ToolServer],
        list_seconds: float = LIST_SECONDS,
        call_seconds: float = CALL_SECONDS,
        catalogue: Catalogue | None = None,
        on_quarantine: OnQuarantine | None = None,
    ) -> None:
        terms = Terms(call_seconds=call_seconds, max_result_bytes=MAX_RESULT_BYTES)
        self._builtin = {server.name: Served(server, terms) for server in servers}
        if len(self._builtin) != len(servers):
            raise ValueError("tool servers must have different names")
        self._looks = Looks(list_seconds, on_quarantine)
        self._catalogue = catalogue
        self._last: Mapping[str, Served] = self._builtin

    async def list_tools(self, wanted: Callable[[str], bool] = _every) -> tuple[list[Tool], dict[str, str]]:
        """Every tool that may be served, named `<server>__<tool>`, and why servers that did not answer are missing.

        Only the servers that are `wanted` by name are asked, and named.
        """
        servers = {name: one for name, one in (await self._all()).items() if wanted(name)}
        await self._each(servers, self._looks.brief)
        missing = {name: one.problem for name, one in servers.items() if one.problem is not None}
        tools = [
            tool.model_copy(update={"name": f"{name}__{tool.name}"})
            for name in sorted(servers)
            if (compared := servers[name].compared) is not None and servers[name].problem is None
            for tool in compared.served
        ]
        return tools, missing

    async def survey(self, *, patient: bool = False) -> Mapping[str, Served]:
        """How each server is: as it was when last looked at, where a look would take long; `patient`: as it is now."""
        servers = await self._all()
        await self._each(servers, self._looks.thorough if patient else self._looks.brief)
        return servers

    def quarantined(self) -> dict[str, list[Quarantined]]:
        """Tools that main admits and that are not what it admitted, by server, as of the last looks."""
        return {
            name: missed
            for name, one in sorted(self._last.items())
            if one.compared is not None
            and (missed := [it for it in one.compared.quarantined.values() if it.was_admitted])
        }

    async def call(self, name: str, arguments: dict[str, Any], caller: Caller) -> CallToolResult:
        """The tool's result; an `isError` result if it failed, took too long, or gave too much. `Refused`: no such tool."""
        one, tool = await self.admitted(name), name.partition("__")[2]
        try:
            # asyncio's own: anyio's costs a tenth of what the gateway adds to a call.
            async with asyncio.timeout(one.terms.call_seconds if one.in_turn is None else None):
                result = await one.server.call_tool(tool, arguments, caller)
        except TimeoutError:
            return error_result(
                f"{name} did not finish in {one.terms.call_seconds:g} s; try again later, or ask for less."
            )
        except Busy as error:
            return error_result(f"{name} was not called: its server {error}. Try again later.")
        except ToolRefused as error:
            return cleaned(error_result(f"{name} was refused by its server: {error}"), one.terms)
        except UpstreamFailed as error:
            return error_result(f"{name} failed: {error}. Its server is at fault; try again later.")
        except Exception as error:
            # A server's fault is the tool's result, not the gateway's end; what it was stands in the log.
            log.exception("the tool %s ended in an error that nobody foresaw", name)
            return error_result(f"{name} failed: {type(error).__name__}. Its server is at fault; try again later.")
        return cleaned(result, one.terms)

    async def admitted(self, name: str) -> Served:
        """The server of a tool that may be called now: `<server>__<tool>` is what was admitted. Raises `Refused`."""
        server_name, _, tool = name.partition("__")
        one = await self.one(server_name)
        if one is None:
            raise Refused("not_found", f"There is no tool {name[:80]!r}; tools/list shows those you may call.")
        if one.terms.definitions is not None or one.compared is None:
            await self._ensure_admitted(one, name, tool)
        elif tool in one.compared.quarantined:
            raise _quarantined(name, one.compared.quarantined[tool])
        return one

    async def one(self, server: str) -> Served | None:
        """The server of that name, as main admits it now."""
        found = await self._catalogue.served() if self._catalogue is not None else {}
        # The kernel's own names cannot be taken.
        return self._own(server) or found.get(server)

    async def list_one(self, server: str) -> list[Tool]:
        """The tools of one server that may be served, with their own names. Raises `Refused`."""
        one = await self.one(server)
        if one is None:
            raise Refused("not_found", f"There is no tool server {server[:60]!r}.")
        await self._looks.brief(one)
        if one.compared is None or one.problem is not None:
            raise Refused("upstream_failed", f"The tool server {server} {one.problem}. Try again later.")
        return list(one.compared.served)

    async def close(self) -> None:
        """Ends looks, and the catalogue's connections and programs."""
        for one in self._builtin.values():
            await one.close()
        if self._catalogue is not None:
            await self._catalogue.close()

    async def rate_of(self, name: str) -> int | None:
        """The server's own limit of calls a minute for each member and tool; None: it has none."""
        one = await self.one(name.partition("__")[0])
        return one.terms.calls_per_minute if one else None

    async def _all(self) -> Mapping[str, Served]:
        found = await self._catalogue.served() if self._catalogue is not None else {}
        own = {name: one for name in self._builtin if (one := self._own(name)) is not None}
        # The kernel's own names cannot be taken.
        self._last = {**found, **own}
        return self._last

    def _own(self, server: str) -> Served | None:
        """The kernel's own server of that name, on the terms that main gives it now."""
        one = self._builtin.get(server)
        if one is None or self._catalogue is None:
            return one
        if (terms := self._catalogue.terms_of(server)) is not None:
            one.terms = terms
        return one

    async def _each(self, servers: Mapping[str, Served], look: Callable[[Served], Coroutine[Any, Any, None]]) -> None:
        async with anyio.create_task_group() as group:
            for one in servers.values():
                group.start_soon(look, one)

    async def _ensure_admitted(self, one: Served, name: str, tool: str) -> None:
        """Raises `Refused` unless the tool was seen, recently, to be what was admitted."""
        if _old(one):
            await self._looks.patient(one, one.terms.call_seconds)
        elif one.problem is not None:
            # Nobody waits for it here, and whoever comes next may find it well.
            await self._looks.patient(one, 0)
        if one.compared is None or one.problem is not None or _old(one):
            # Nothing is called blindly; what the server's own call would have said is said by the look.
            if one.terms.definitions is None:
                return
            why = one.problem or "has not shown what it is for a while: it is at work or does not answer"
            raise Refused("upstream_failed", f"{name}: its server {why}. Try again later.")
        if (found := one.compared.quarantined.get(tool)) is not None:
            raise _quarantined(name, found)
        if one.terms.definitions is not None and tool not in one.terms.definitions:
            raise Refused("not_found", f"There is no tool {name[:80]!r}; tools/list shows those you may call.")


def _old(one: Served) -> bool:
    """Whether what is known of its definitions is too old for a call."""
    return time.monotonic() - one.checked_at > CHECK_SECONDS


def cleaned(result: CallToolResult, terms: Terms) -> CallToolResult:
    """What goes on of a tool's result: within its size, without the server's secrets, marked untrusted.

    `result` is the caller's own: it may be changed.
    """
    size = len(dump(result))
    if size > terms.max_result_bytes:
        return error_result(f"It gave {size} bytes; {terms.max_result_bytes} are allowed. Ask for less at a time.")
    if secrets := terms.secrets():
        redacted = redact(result.model_dump(mode="json", by_alias=True, exclude_none=True), secrets)
        result = CallToolResult.model_validate(redacted)
    result.meta = UNTRUSTED
    return result


def error_result(message: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=message)], isError=True)


def dump(result: BaseModel) -> bytes:
    """The result as it goes over the wire."""
    return result.model_dump_json(by_alias=True, exclude_none=True).encode()


def _quarantined(name: str, found: Quarantined) -> Refused:
    return Refused(
        "not_allowed",
        f"{name[:80]} is in quarantine: {found.why}. It is called again once a pull request has admitted its new definition: "
        "a person sees the difference and proposes it with ./elf gateway admit.",
    )
