"""A tool server over MCP's streamable HTTP. One session is held; it is opened at the first question and again when the server forgot it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.shared.version import SUPPORTED_PROTOCOL_VERSIONS

from mcp_servers.addresses import AddressRefused
from mcp_servers.gateway.event_stream import EventReader
from mcp_servers.gateway.rpc_server import RpcServer, UpstreamFailed, answer_to, greeting, question
from mcp_servers.safe_http import Answer, HttpFailed, Opened, SafeHttp

SESSION = "Mcp-Session-Id"


class HttpServer(RpcServer):
    """`headers` gives the credentials' headers, read anew at each question, so that a rotated secret is used at once."""

    def __init__(
        self,
        name: str,
        url: str,
        http: SafeHttp,
        headers: Callable[[], Mapping[str, str]],
        *,
        timeout_seconds: float,
        max_bytes: int,
    ) -> None:
        self.name, self.url = name, url
        self._http, self._headers = http, headers
        self._timeout, self._max_bytes = timeout_seconds, max_bytes
        self._ids = itertools.count(1)
        self._held: dict[str, str] | None = None
        self._opening = anyio.Lock()

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        held = await self._session()
        answer, call_id = await self._send(method, params, held)
        if answer.status == 404 and SESSION in held:
            self._held = None
            answer, call_id = await self._send(method, params, await self._session())
        return _result(answer, call_id)

    @asynccontextmanager
    async def exchange(self, method: str, headers: Mapping[str, str], body: bytes | None) -> AsyncGenerator[Opened]:
        """One HTTP request of somebody else's session, with the credentials added; its answer may be a stream. Raises `UpstreamFailed`.

        `TimeoutError`: its answer did not begin in time.
        """
        sent = {**headers, **self._headers()}
        try:
            async with self._http.stream(method, self.url, headers=sent, body=body, seconds=self._timeout) as opened:
                yield opened
        except (HttpFailed, AddressRefused) as error:
            raise UpstreamFailed(str(error)) from error

    async def close(self) -> None:
        """The pool is the gateway's; a session that nobody uses ends by itself."""
        self._held = None

    async def _session(self) -> dict[str, str]:
        """The headers of the session; opened by whoever comes first, while the others wait."""
        if self._held is not None:
            return self._held
        async with self._opening:
            if self._held is None:
                self._held = await self._opened()
            return self._held

    async def greet(self, said: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, str]]:
        """`initialize`: what the server answers, and the headers of the session that it opened. Raises as `ask` does."""
        answer, call_id = await self._send("initialize", said, {})
        result = _result(answer, call_id)
        agreed = str(result.get("protocolVersion"))
        if agreed not in SUPPORTED_PROTOCOL_VERSIONS:
            raise UpstreamFailed("it speaks a version of MCP that is not known here")
        held = {"MCP-Protocol-Version": agreed}
        if session := answer.headers.get(SESSION):
            held[SESSION] = session
        return result, held

    async def _opened(self) -> dict[str, str]:
        _, held = await self.greet(greeting())
        await self._post(question(None, "notifications/initialized", {}), held)
        return held

    async def _send(self, method: str, params: Mapping[str, Any], held: Mapping[str, str]) -> tuple[Answer, int]:
        call_id = next(self._ids)
        answer = await self._post(
            question(call_id, method, params), held, lambda seen: _event(seen, call_id) is not None
        )
        return answer, call_id

    async def _post(self, body: bytes, held: Mapping[str, str], until: Callable[[bytes], bool] | None = None) -> Answer:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **held}
        try:
            return await self._http.request(
                "POST",
                self.url,
                headers=headers | dict(self._headers()),
                body=body,
                timeout_seconds=self._timeout,
                max_bytes=self._max_bytes,
                until=until,
            )
        except (HttpFailed, AddressRefused) as error:
            raise UpstreamFailed(str(error)) from error


def _result(answer: Answer, call_id: int) -> Mapping[str, Any]:
    if answer.status in (401, 403):
        raise UpstreamFailed(f"it refused the gateway's credentials ({answer.status}); a person must look at them")
    if answer.status >= 400:
        raise UpstreamFailed(f"it answered {answer.status}")
    if answer.content_type == "text/event-stream":
        found = _event(answer.body, call_id)
        if found is None:
            raise UpstreamFailed("its stream ended before the answer")
        return found
    if answer.content_type != "application/json":
        raise UpstreamFailed("its answer is neither JSON nor an event stream")
    found = answer_to(call_id, answer.body)
    if found is None:
        raise UpstreamFailed("it answered another question")
    return found


def _event(stream: bytes, call_id: int) -> Mapping[str, Any] | None:
    """The answer among the complete events of a stream; None if it has not come yet."""
    for event in EventReader(len(stream)).feed(stream):
        if event.data and (found := answer_to(call_id, event.data)) is not None:
            return found
    return None
