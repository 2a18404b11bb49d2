"""One held MCP session a member: opening one a call costs four requests instead of one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import httpx
import mcp.types
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client

T = TypeVar("T")

CALL_TIMEOUT = 120.0
_RUN_KEY = "elf/run"


@dataclass(frozen=True)
class _Held:
    session: ClientSession
    closing: asyncio.Event
    keeper: asyncio.Task[None]


class ToolSessions:
    """Sessions are opened at first use and dropped after a failed call, so that the next call opens a new one.

    The SDK wants a session opened and closed by the same task: each has a keeper that does nothing else. `auth` puts the
    token of the day into each request, so a session outlives its member's tokens.
    """

    def __init__(self, url: str, tls: ssl.SSLContext, auth: httpx.Auth) -> None:
        self._url = url
        self._tls = tls
        self._auth = auth
        self._held: dict[str, _Held] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def list_tools(self, member: str, key: str) -> list[mcp.types.Tool]:
        async def all_pages(session: ClientSession) -> list[mcp.types.Tool]:
            tools: list[mcp.types.Tool] = []
            cursor: str | None = None
            while True:
                page = await session.list_tools(params=mcp.types.PaginatedRequestParams(cursor=cursor))
                tools += page.tools
                if not (cursor := page.nextCursor):
                    return tools

        return await self._with_session(member, key, all_pages)

    async def call_tool(
        self, member: str, key: str, tool: str, arguments: dict[str, Any], run_id: str | None = None
    ) -> mcp.types.CallToolResult:
        """Calls a tool. `run_id` travels as the header that the gateway books the call under."""
        meta = {_RUN_KEY: run_id} if run_id else None
        return await self._with_session(member, key, lambda session: session.call_tool(tool, arguments, meta=meta))

    async def aclose(self) -> None:
        for member in list(self._held):
            await self._drop(member)

    async def _with_session(self, member: str, key: str, use: Callable[[ClientSession], Awaitable[T]]) -> T:
        held = await self._session(member, key)
        using = asyncio.ensure_future(use(held.session))
        try:
            # A request that the server refuses ends the keeper and not the call: wait for whichever comes first.
            async with asyncio.timeout(CALL_TIMEOUT):
                await asyncio.wait({using, held.keeper}, return_when=asyncio.FIRST_COMPLETED)
            return using.result() if using.done() else _broken(held)
        except mcp.McpError:
            raise
        except BaseException:
            await self._drop(member)
            raise
        finally:
            using.cancel()

    async def _session(self, member: str, key: str) -> _Held:
        async with self._locks.setdefault(member, asyncio.Lock()):
            held = self._held.get(member)
            if held is None or held.keeper.done():
                held = self._held[member] = await self._open(key)
            return held

    async def _open(self, key: str) -> _Held:
        opened: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        closing = asyncio.Event()
        keeper = asyncio.create_task(self._keep(key, opened, closing))
        await asyncio.wait({opened, keeper}, return_when=asyncio.FIRST_COMPLETED)
        if not opened.done():
            keeper.result()
            raise ConnectionError("the session ended before it began")
        return _Held(opened.result(), closing, keeper)

    async def _keep(self, key: str, opened: asyncio.Future[ClientSession], closing: asyncio.Event) -> None:
        try:
            async with (
                httpx.AsyncClient(
                    verify=self._tls,
                    headers={"Authorization": f"Bearer {key}"},
                    auth=self._auth,
                    timeout=httpx.Timeout(CALL_TIMEOUT, connect=5.0),
                    trust_env=False,
                    event_hooks={"request": [_name_the_run], "response": [_read_refusal]},
                ) as http,
                streamable_http_client(self._url, http_client=http) as (read, write, _),
                ClientSession(read, write) as session,
            ):
                await session.initialize()
                opened.set_result(session)
                await closing.wait()
        except BaseExceptionGroup as group:
            raise _first(group) from group

    async def _drop(self, member: str) -> None:
        if held := self._held.pop(member, None):
            held.closing.set()
            with contextlib.suppress(httpx.HTTPError, OSError, mcp.McpError):
                await held.keeper


async def _name_the_run(request: httpx.Request) -> None:
    """The SDK sends a session's requests from a task of its own and gives no way to set a header for one: the call's
    metadata carries the run so far."""
    if request.method == "POST" and _RUN_KEY.encode() in request.content:
        meta = json.loads(request.content).get("params", {}).get("_meta", {})
        if isinstance(run_id := meta.get(_RUN_KEY), str):
            request.headers["X-Elf-Run"] = run_id


async def _read_refusal(response: httpx.Response) -> None:
    """The SDK streams answers and drops the words of a refusal; the model should see them."""
    if response.is_error:
        await response.aread()


def _broken(held: _Held) -> NoReturn:
    """Raises what ended the session."""
    held.keeper.result()
    raise ConnectionError("the gateway closed the session")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error inside the task groups that the SDK wraps it in."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
