"""The way to a server in a member's session: one exchange at a time, through the server's circuit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any

import anyio
from pydantic_core import to_json

from mcp_servers.gateway.http_server import SESSION, HttpServer
from mcp_servers.gateway.pass_through_messages import Message
from mcp_servers.gateway.pass_through_sessions import Session, SessionUnknown
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.rpc_server import ToolRefused, UpstreamFailed
from mcp_servers.resilience.breaker import CircuitBreaker
from mcp_servers.safe_http import Opened

_JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
#: How long a server may take to accept what wants no answer.
_TELL_SECONDS = 5.0


class Line:
    """`forgotten` is told of a session that its server does not know any more. `clock` is for the circuits."""

    def __init__(self, clock: Callable[[], datetime], forgotten: Callable[[Session], Awaitable[None]]) -> None:
        self._clock, self._forgotten = clock, forgotten
        self._breakers: dict[str, CircuitBreaker] = {}

    @asynccontextmanager
    async def post(self, session: Session, message: Message) -> AsyncGenerator[Opened]:
        """A message sent, and the answer's beginning. Raises `Refused`, `UpstreamFailed`, `TimeoutError`."""
        async with self._opened(session, "POST", _JSON, to_json(message)) as opened:
            yield opened

    @asynccontextmanager
    async def listen(self, session: Session, last: str | None) -> AsyncGenerator[Opened]:
        """The session's own stream, or the one of the server's event `last`. Raises as `post` does."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last is not None else {})
        async with self._opened(session, "GET", headers, None) as opened:
            yield opened

    async def tell(self, session: Session, message: Message) -> None:
        """A message without an answer. That the server is gone is found by whoever waits for something from it."""
        with anyio.move_on_after(_TELL_SECONDS):
            try:
                async with self.post(session, message):
                    pass
            except (Refused, UpstreamFailed, TimeoutError):
                return

    async def hang_up(self, session: Session) -> bool:
        """Ends the session at its server; whether it was told."""
        with anyio.move_on_after(_TELL_SECONDS):
            try:
                async with session.server.exchange("DELETE", dict(session.headers), None):
                    return True
            except (UpstreamFailed, TimeoutError):
                return False
        return False

    async def greet(
        self, name: str, server: HttpServer, said: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], dict[str, str]]:
        """A session opened at the server: its answer, and the headers it is known by. Raises `Refused`."""
        breaker = self._closed_circuit(name)
        try:
            found = await server.greet(said)
        except (UpstreamFailed, ToolRefused, TimeoutError) as error:
            breaker.failure(self._clock())
            code = "timeout" if isinstance(error, TimeoutError) else "upstream_failed"
            why = str(error) or "it did not answer in time"
            raise Refused(code, f"{name} opened no session: {why}. Try again later.") from error
        except BaseException:
            breaker.abandoned(self._clock())
            raise
        breaker.success(self._clock())
        return found

    def failed(self, name: str) -> None:
        """An exchange that had begun well did not end so."""
        self._breaker(name).failure(self._clock())

    @asynccontextmanager
    async def _opened(
        self, session: Session, method: str, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncGenerator[Opened]:
        breaker = self._closed_circuit(session.name)
        async with AsyncExitStack() as stack:
            try:
                sent = {**headers, **session.headers}
                opened = await stack.enter_async_context(session.server.exchange(method, sent, body))
            except (UpstreamFailed, TimeoutError):
                breaker.failure(self._clock())
                raise
            except BaseException:
                breaker.abandoned(self._clock())
                raise
            breaker.success(self._clock())
            if opened.status == 404 and SESSION in session.headers:
                await self._forgotten(session)
                raise SessionUnknown
            if opened.status in (401, 403):
                raise UpstreamFailed("it refused the gateway's credentials; a person must look at them")
            yield opened

    def _closed_circuit(self, name: str) -> CircuitBreaker:
        """Raises `Refused` while the server is left alone. Whoever gets it says how it went."""
        breaker = self._breaker(name)
        if breaker.allow(self._clock()):
            return breaker
        when = f"; it is tried again from {breaker.opens_at:%H:%M:%S} UTC on" if breaker.opens_at else ""
        raise Refused("upstream_failed", f"{name} failed too often and is left alone{when}.", breaker.opens_at)

    def _breaker(self, name: str) -> CircuitBreaker:
        return self._breakers.setdefault(name, CircuitBreaker(name))
