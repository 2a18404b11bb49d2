"""A request of a member's session carried to its server, and the answer brought back: whole, or as a stream that is watched to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import anyio
from fastapi.responses import JSONResponse, Response

from mcp_servers.gateway.door import Door
from mcp_servers.gateway.event_response import EventResponse
from mcp_servers.gateway.pass_through_line import Line
from mcp_servers.gateway.pass_through_messages import Message, Messages
from mcp_servers.gateway.pass_through_sessions import Pending, Session, SessionUnknown
from mcp_servers.gateway.pass_through_stream import ENVELOPE, Ended, Passage, Patience, as_answer
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.rpc_server import UpstreamFailed, message_in
from mcp_servers.gateway.upstreams import Upstreams
from mcp_servers.safe_http import HttpFailed, Opened


class Exchange:
    """What was allowed already is carried here; that it still is, is asked again while a stream is open."""

    def __init__(self, door: Door, upstreams: Upstreams, messages: Messages, line: Line, how: Patience) -> None:
        self._door, self._upstreams, self._messages, self._line, self._how = door, upstreams, messages, line, how
        self._waiting: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Writes down as broken the requests whose clients have not come back for the answer."""
        for task in list(self._waiting):
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    async def listened(self, session: Session, last: str | None, authorization: str | None) -> Response:
        """The session's own stream, or the one of the server's event `last`. Raises `Refused`."""
        stack = AsyncExitStack()
        try:
            opened = await stack.enter_async_context(self._line.listen(session, last))
        except (UpstreamFailed, TimeoutError) as error:
            self._line.ended(session.name, "upstream_failed")
            why = str(error) or "it did not answer in time"
            await self._door.record(session.owner, "mcp.stream", session.name, "upstream_failed", {"why": why})
            raise Refused("upstream_failed", f"{session.name} gave no stream: {why}. Try again later.") from error
        # A stream may be open for days: that it began is all that its server had to show.
        self._line.ended(session.name, "ok")
        if opened.status == 200 and opened.content_type == "text/event-stream":
            return self._stream(session, None, opened, stack, authorization)
        await stack.aclose()
        await self._door.record(session.owner, "mcp.stream", session.name, "upstream_failed", {"status": opened.status})
        return Response(status_code=opened.status if opened.status in (405, 409) else 502)

    async def carried(
        self, session: Session, pending: Pending, method: str, params: Mapping[str, Any], authorization: str | None
    ) -> Response:
        """A request that was allowed, and its answer, whole or as a stream. Raises `Refused`."""
        if method == "tools/call":
            await self._upstreams.admitted(pending.subject)
        message: Message = {"jsonrpc": "2.0", "id": pending.id, "method": method, "params": params}
        stack, handed_on = AsyncExitStack(), False
        try:
            opened = await stack.enter_async_context(self._line.post(session, message))
            if opened.content_type == "text/event-stream" and opened.status == 200:
                handed_on = True
                return self._stream(session, pending, opened, stack, authorization)
            answer = await self._at_once(session, pending, opened)
            self._line.ended(session.name, "ok")
            return answer
        except Refused as refused:
            if isinstance(refused, SessionUnknown):
                raise
            return JSONResponse(
                await self._messages.failed(session, pending, refused.code, f"failed: {refused.message}")
            )
        except (UpstreamFailed, HttpFailed, TimeoutError) as error:
            said = f"failed: {str(error) or 'it did not answer in time'}. Its server is at fault; try again later."
            outcome = "timeout" if isinstance(error, TimeoutError) else "upstream_failed"
            self._line.ended(session.name, outcome)
            return JSONResponse(await self._messages.failed(session, pending, outcome, said))
        finally:
            if not handed_on:
                await stack.aclose()

    async def _at_once(self, session: Session, pending: Pending, opened: Opened) -> Response:
        """An answer that is no stream."""
        if opened.status >= 400 or opened.content_type != "application/json":
            raise UpstreamFailed(f"it answered {opened.status}, which is no answer to a request")
        terms = session.served.terms
        with anyio.fail_after(terms.call_seconds):
            message = message_in(await opened.whole(terms.max_result_bytes + ENVELOPE))
        answers = message.get("id") == pending.id and "method" not in message
        passed = await self._messages.passed(session, message) if answers else None
        if passed is None:
            raise UpstreamFailed("it answered another question")
        return JSONResponse(passed)

    def _stream(
        self,
        session: Session,
        pending: Pending | None,
        opened: Opened,
        stack: AsyncExitStack,
        authorization: str | None,
    ) -> EventResponse:
        async def check() -> None:
            await self._may_go_on(session, authorization)

        passage = Passage(self._messages, session, opened, pending, check, self._how)
        session.streams += 1

        async def closing() -> None:
            session.streams -= 1
            await stack.aclose()
            await self._stream_ended(session, pending, passage)

        return as_answer(passage, session, closing)

    async def _stream_ended(self, session: Session, pending: Pending | None, passage: Passage) -> None:
        if pending is not None or passage.outcome != "gone":
            self._line.ended(session.name, passage.outcome)
        if pending is None:
            detail = {"why": passage.why}
            await self._door.record(session.owner, "mcp.stream", session.name, passage.outcome, detail)
        elif passage.outcome == "timeout":
            note = {"requestId": pending.id, "reason": "it took too long"}
            await self._line.tell(session, {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": note})
        elif not pending.settled and pending.resumable and passage.outcome != "refused":
            task = asyncio.create_task(self._answered_later(session, pending))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)
        elif not pending.settled:
            await self._messages.settle(session, pending, passage.outcome)

    async def _answered_later(self, session: Session, pending: Pending) -> None:
        """Waits for the client to come back for an answer; after a while there is none."""
        try:
            until = anyio.current_time() + session.served.terms.call_seconds
            while not pending.settled and not session.closed and anyio.current_time() < until:
                await anyio.sleep(min(self._how.recheck, 1.0))
        finally:
            await self._messages.settle(session, pending, "broken")

    async def _may_go_on(self, session: Session, authorization: str | None) -> None:
        """Raises `Ended` where a stream that was allowed no longer is."""
        try:
            caller = await self._door.identify(authorization)
        except Refused as refused:
            raise Ended("its token ended, or its team was retired") from refused
        if caller != session.owner or session.closed:
            raise Ended("its session was closed")
        if await self._upstreams.one(session.name) is not session.served:
            raise Ended("main changed the server")
        if not self._door.grants.use_of(caller, session.name):
            raise Ended("nothing of the server is granted any more")
