"""One stream of a server on its way to a member: events in, decided and cleaned, events out; ended when it has to be."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

import anyio
from pydantic_core import to_json

from mcp_servers.gateway.event_response import EventResponse
from mcp_servers.gateway.event_stream import Event, EventReader, frame
from mcp_servers.gateway.pass_through_messages import Messages
from mcp_servers.gateway.pass_through_sessions import Pending, Session
from mcp_servers.gateway.rpc_server import UpstreamFailed, message_in
from mcp_servers.safe_http import HttpFailed, Opened

#: Around a result of the largest size allowed there may be so much more of the protocol's own.
ENVELOPE = 64_000
_COMMENT = b": waiting\n\n"


@dataclass(frozen=True)
class Patience:
    """How long what may take. Seconds."""

    #: How often an open stream's token, grants and server are looked at again.
    recheck: float = 5.0
    #: How long a member and its person may think about a server's question.
    asked: float = 300.0
    #: The longest that a request may take, whatever the server says meanwhile.
    request: float = 900.0


class Ended(Exception):
    """The stream may not go on; the text says why."""


#: Raises `Ended` unless the stream may go on.
Check = Callable[[], Awaitable[None]]


class Passage:
    """`pending` is the request that the stream answers; None: it is the session's own, or one that was resumed."""

    def __init__(
        self, messages: Messages, session: Session, opened: Opened, pending: Pending | None, check: Check, how: Patience
    ) -> None:
        self._messages, self._session, self._opened, self._pending = messages, session, opened, pending
        self._check, self._how = check, how
        terms = session.served.terms
        self._silence = terms.call_seconds
        self._events = EventReader(terms.max_result_bytes + ENVELOPE)
        #: What a server may send in a minute.
        self._most = 10 * (terms.max_result_bytes + ENVELOPE)
        self._minute, self._bytes = 0.0, 0
        #: How it ended, for the ledger.
        self.outcome, self.why = "gone", "the client left"

    async def frames(self) -> AsyncGenerator[bytes]:
        """What the member is sent. Ends by itself."""
        try:
            async for chunk in self._chunks():
                if chunk is None:
                    yield _COMMENT
                for event in self._events.feed(chunk or b""):
                    if (out := await self._passed(event)) is not None:
                        yield out
                if self._pending is not None and self._pending.settled:
                    self.outcome, self.why = "ok", "answered"
                    return
            self.outcome, self.why = "ok", "the server ended it"
            if (last := await self._unanswered()) is not None:
                yield last
        except (UpstreamFailed, HttpFailed) as error:
            self.outcome, self.why = "upstream_failed", str(error)
            if (last := await self._broken(f"failed: {error}. Its server is at fault; try again later.")) is not None:
                yield last
        except TimeoutError:
            self.outcome, self.why = "timeout", "the server was silent for too long"
            if (last := await self._broken("did not finish in time; try again later, or ask for less.")) is not None:
                yield last
        except Ended as ended:
            self.outcome, self.why = "refused", str(ended)

    async def _chunks(self) -> AsyncGenerator[bytes | None]:
        """What the server sends, as it comes; None while it is silent. Raises when it may not go on."""
        heard = checked = anyio.current_time()
        while True:
            chunk: bytes | None = None
            with anyio.move_on_after(min(self._how.recheck, self._silence)):
                chunk = await self._opened.next()
            now = anyio.current_time()
            if chunk == b"":
                return
            if chunk is not None:
                heard = now
                self._count(len(chunk), now)
            if chunk is None or now - checked >= self._how.recheck:
                checked = now
                await self._check()
            self._in_time(max(heard, self._session.answered), now)
            yield chunk

    def _in_time(self, heard: float, now: float) -> None:
        """Raises `TimeoutError` where the server owes an answer for too long. While the member is asked, it does not."""
        if self._pending is None:
            return
        waits_for_client = any(now - since < self._how.asked for _, since in self._session.asked.values())
        if now - self._pending.sent > self._how.request or (now - heard > self._silence and not waits_for_client):
            raise TimeoutError

    def _count(self, size: int, now: float) -> None:
        if now - self._minute >= 60:
            self._minute, self._bytes = now, 0
        self._bytes += size
        if self._bytes > self._most:
            raise UpstreamFailed(f"it sent more than the {self._most} bytes allowed in a minute")

    async def _passed(self, event: Event) -> bytes | None:
        id_ = None
        if event.id is not None:
            id_ = self._session.event_id(event.id)
            if self._pending is not None:
                self._pending.resumable = True
        if not event.data.strip():
            return frame(b"", id_, event.retry)
        passed = await self._messages.passed(self._session, message_in(event.data))
        return None if passed is None else frame(to_json(passed), id_, event.retry)

    async def _unanswered(self) -> bytes | None:
        """The server closed the stream: the client comes back for the answer if it can, else there is none."""
        if self._pending is None or self._pending.resumable:
            return None
        return await self._broken(
            "failed: its stream ended before the answer. Its server is at fault; try again later."
        )

    async def _broken(self, why: str) -> bytes | None:
        if self._pending is None or self._pending.settled:
            return None
        outcome = "timeout" if self.outcome == "timeout" else "upstream_failed"
        return frame(to_json(await self._messages.failed(self._session, self._pending, outcome, why)))


def as_answer(passage: Passage, session: Session, closing: Callable[[], Awaitable[None]]) -> EventResponse:
    """The stream as the answer to the member's request."""
    headers = {
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
        "Mcp-Session-Id": session.id,
    }
    return EventResponse(passage.frames(), headers, closing)
