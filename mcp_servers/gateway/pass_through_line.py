"""The way to a server in a member's session: one exchange at a time, through the server's circuit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import anyio
from pydantic_core import to_json

from mcp_servers.gateway.http_server import SESSION, HttpServer
from mcp_servers.gateway.pass_through_messages import Message
from mcp_servers.gateway.pass_through_sessions import Session, SessionUnknown
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.rpc_server import ToolRefused, UpstreamFailed
from mcp_servers.safe_http import Opened
from teams.resilience.breaker import CircuitBreaker

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
        """A message sent, and the answer's beginning. Raises `Refused`, `UpstreamFailed`, `TimeoutError`.

        Whoever asks says afterwards how it `ended`.
        """
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
                    self.ended(session.name, "ok")
            except Refused:
                return
            except (UpstreamFailed, TimeoutError):
                self.ended(session.name, "upstream_failed")

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
        self._check_circuit(name)
        try:
            found = await server.greet(said)
        except (UpstreamFailed, ToolRefused, TimeoutError) as error:
            self.ended(name, "upstream_failed")
            code = "timeout" if isinstance(error, TimeoutError) else "upstream_failed"
            why = str(error) or "it did not answer in time"
            raise Refused(code, f"{name} opened no session: {why}. Try again later.") from error
        except BaseException:
            self.ended(name, "gone")
            raise
        self.ended(name, "ok")
        return found

    def ended(self, name: str, outcome: str) -> None:
        """How an exchange that was allowed has ended."""
        breaker, now = self._breaker(name), self._clock()
        if outcome == "ok":
            breaker.success(now)
        elif outcome in ("upstream_failed", "timeout"):
            breaker.failure(now)
        else:
            breaker.abandoned(now)

    @asynccontextmanager
    async def _opened(
        self, session: Session, method: str, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncGenerator[Opened]:
        self._check_circuit(session.name)
        sent = {**headers, **session.headers}
        async with session.server.exchange(method, sent, body) as opened:
            if opened.status == 404 and SESSION in session.headers:
                self.ended(session.name, "ok")
                await self._forgotten(session)
                raise SessionUnknown
            if opened.status in (401, 403):
                raise UpstreamFailed("it refused the gateway's credentials; a person must look at them")
            yield opened

    def _check_circuit(self, name: str) -> None:
        """Raises `Refused` while the server is left alone."""
        breaker = self._breaker(name)
        if breaker.allow(self._clock()):
            return
        when = f"; it is tried again from {breaker.opens_at:%H:%M:%S} UTC on" if breaker.opens_at else ""
        raise Refused("upstream_failed", f"{name} failed too often and is left alone{when}.", breaker.opens_at)

    def _breaker(self, name: str) -> CircuitBreaker:
        return self._breakers.setdefault(name, CircuitBreaker(name))
