"""What a member does in a session with one server: each act allowed, written down, carried, and written down again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, cast

import anyio
from fastapi.responses import JSONResponse, Response
from mcp.shared.version import SUPPORTED_PROTOCOL_VERSIONS
from mcp.types import LATEST_PROTOCOL_VERSION
from pydantic_core import to_json

from mcp_servers.gateway import jsonrpc
from mcp_servers.gateway.door import Door, sha256
from mcp_servers.gateway.event_stream import message_in
from mcp_servers.gateway.http_server import SESSION, HttpServer
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.jsonrpc import Call
from mcp_servers.gateway.pass_through_law import (
    ASKS,
    client_capabilities,
    progress_token,
    request_params,
    server_greeting,
)
from mcp_servers.gateway.pass_through_messages import Message, Messages, request_id
from mcp_servers.gateway.pass_through_line import Line
from mcp_servers.gateway.pass_through_sessions import (
    MOST_REQUESTS,
    MOST_STREAMS,
    Pending,
    RequestId,
    Session,
    Sessions,
    SessionUnknown,
)
from mcp_servers.gateway.pass_through_stream import ENVELOPE, Ended, Passage, Patience, Stream
from mcp_servers.gateway.rates import Rates
from mcp_servers.gateway.redaction import redact
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.rpc_server import UpstreamFailed, greeting
from mcp_servers.gateway.tool_calls import ToolCalls
from mcp_servers.gateway.upstreams import Served, Upstreams
from mcp_servers.monitor.observer import ToolCall
from mcp_servers.safe_http import HttpFailed, Opened


class PassThrough:
    """`calls` decides on tools as it does for /mcp, with the same rates."""

    def __init__(self, door: Door, upstreams: Upstreams, calls: ToolCalls, how: Patience | None = None) -> None:
        self.door, self.upstreams, self.calls = door, upstreams, calls
        self._how = how or Patience()
        self._sessions, self._rates = Sessions(), Rates()
        self._line = Line(door.clock, self._drop)
        self._messages = Messages(door, self._line.tell)
        self._waiting: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Writes down as broken what was still under way."""
        for task in list(self._waiting):
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        for session in self._sessions:
            await self._drop(session)

    # --- sessions ---

    async def open_session(
        self,
        caller: Caller,
        name: str,
        served: Served,
        server: HttpServer,
        version: str,
        capabilities: Mapping[str, Any],
    ) -> tuple[Session, dict[str, Any]]:
        """A session of the caller's, and what the server says at its beginning. Raises `Refused`."""
        use = self.door.grants.use_of(caller, name)
        offered = client_capabilities(capabilities, use)
        detail = {"offered": sorted(offered)}
        try:
            await self._take(caller, name, "initialize")
        except Refused as refused:
            await self.door.record(caller, "mcp.session", name, "refused", detail | {"why": refused.message})
            raise
        await self.door.record(caller, "mcp.session", name, "allowed", detail)
        asked = version if version in SUPPORTED_PROTOCOL_VERSIONS else LATEST_PROTOCOL_VERSION
        try:
            said, headers = await self._line.greet(
                name, server, greeting() | {"protocolVersion": asked, "capabilities": offered}
            )
        except Refused as refused:
            await self.door.record(caller, "mcp.session", name, refused.code, {"why": refused.message})
            raise
        now = anyio.current_time()
        session = Session(self.door.new_id(), caller, name, served, server, headers, offered, now)
        for gone in self._sessions.add(session):
            await self._drop(gone)
        await self.door.record(caller, "mcp.session", name, "opened", detail)
        return session, redact(server_greeting(said, use), served.terms.secrets())

    async def session(self, id_: str, caller: Caller, name: str) -> Session:
        """The caller's session of that id. Somebody else's is as unknown as one that never was. Raises `Refused`."""
        session = self._sessions.find(id_, caller, name, anyio.current_time())
        if session is not None and await self.upstreams.one(name) is session.served:
            return session
        if session is not None:
            await self._drop(session)
        await self.door.record(caller, "mcp.session", name, "refused", {"why": "no session of the caller's"})
        raise SessionUnknown

    async def close_session(self, session: Session, outcome: str) -> None:
        """Ends it here and, if it can be told, at the server."""
        await self._drop(session)
        if SESSION in session.headers and not await self._line.hang_up(session):
            outcome = f"{outcome} here alone"
        await self.door.record(session.owner, "mcp.session", session.name, outcome, {})

    # --- what the client sends ---

    async def request(self, session: Session, call: Call, run: str, authorization: str | None) -> Response:
        """A request, carried to the server; the answer as JSON or as a stream. Raises `Refused`, `RpcError`."""
        id_ = cast("RequestId", call.id)
        if id_ in session.pending or len(session.pending) >= MOST_REQUESTS:
            raise Refused(
                "overloaded", f"This id is in use, or {MOST_REQUESTS} requests are under way; wait for an answer."
            )
        pending, params = await self._allowed(session, id_, call, run)
        if pending.token is not None:
            params["_meta"] = {"progressToken": pending.token}
        try:
            return await self._carried(session, pending, call.method, params, authorization)
        except Refused as refused:
            await self._messages.settle(session, pending, refused.code)
            raise
        except BaseException:
            await self._messages.settle(session, pending, "broken")
            raise

    async def notify(self, session: Session, call: Call) -> None:
        """A notification of the client's. Raises `Refused`."""
        params: dict[str, Any] = {}
        if call.method == "notifications/cancelled":
            id_ = request_id(call.params.get("requestId"))
            pending = session.pending.get(id_) if id_ is not None else None
            if pending is None:
                return
            params = {"requestId": pending.id, "reason": str(call.params.get("reason", ""))[:200]}
            await self._messages.settle(session, pending, "cancelled")
        elif call.method == "notifications/roots/list_changed":
            if "roots" not in session.offered:
                return
        elif call.method != "notifications/initialized":
            raise Refused("bad_request", f"The notification {call.method[:60]!r} does not pass here.")
        await self._line.tell(session, {"jsonrpc": "2.0", "method": call.method, "params": params})

    async def answer(self, session: Session, id_: RequestId, given: Mapping[str, Any]) -> None:
        """The client's answer to what the server asked. Raises `Refused`."""
        method, _ = session.asked.pop(id_, (None, 0.0))
        if method is None:
            raise Refused("bad_request", "The server has no open question of that id in this session.")
        session.answered = anyio.current_time()
        subject, feature = f"{session.name}:{method}", ASKS.get(method)
        granted = feature is None or self.door.grants.use_of(session.owner, session.name).feature(feature)
        detail = {"answer_sha256": sha256(to_json(given))}
        await self.door.record(session.owner, "mcp.answer", subject, "allowed" if granted else "refused", detail)
        if not granted:
            given = {"error": {"code": jsonrpc.METHOD_NOT_FOUND, "message": "This may not be asked any more."}}
        await self._line.tell(session, {"jsonrpc": "2.0", "id": id_, **given})

    async def listen(self, session: Session, last: str | None, authorization: str | None) -> Response:
        """The session's own stream, or one that is resumed after the event `last`. Raises `Refused`."""
        theirs = session.their_event_id(last) if last is not None else None
        if last is not None and theirs is None:
            why = {"why": "no event of this session"}
            await self.door.record(session.owner, "mcp.stream", session.name, "refused", why)
            raise Refused("bad_request", "Last-Event-ID is no event of this session, or one of too long ago.")
        if session.streams >= MOST_STREAMS:
            raise Refused("overloaded", f"{MOST_STREAMS} streams of this session are open; end one first.")
        await self.door.record(session.owner, "mcp.stream", session.name, "allowed", {"resumed": last is not None})
        stack = AsyncExitStack()
        try:
            opened = await stack.enter_async_context(self._line.listen(session, theirs))
        except (UpstreamFailed, TimeoutError) as error:
            why = str(error) or "it did not answer in time"
            await self.door.record(session.owner, "mcp.stream", session.name, "upstream_failed", {"why": why})
            raise Refused("upstream_failed", f"{session.name} gave no stream: {why}. Try again later.") from error
        if opened.status == 200 and opened.content_type == "text/event-stream":
            return self._stream(session, None, opened, stack, authorization)
        await stack.aclose()
        await self.door.record(session.owner, "mcp.stream", session.name, "upstream_failed", {"status": opened.status})
        return Response(status_code=opened.status if opened.status in (405, 409) else 502)

    # --- how it is carried ---

    async def _allowed(self, session: Session, id_: RequestId, call: Call, run: str) -> tuple[Pending, dict[str, Any]]:
        """Decided on, and written down either way. Raises `Refused`, `RpcError`."""
        tool = call.method == "tools/call"
        arguments = cast("dict[str, Any]", call.params.get("arguments") or {})
        subject = f"{session.name}__{call.params['name']}" if tool else f"{session.name}:{call.method[:60]}"
        action, what = (
            ("tool.call", {"arguments_sha256": sha256(to_json(arguments))})
            if tool
            else ("mcp.request", {"params_sha256": sha256(to_json(call.params))})
        )
        detail = what | {"run": run}
        owner = session.owner
        try:
            if tool:
                await self.calls.decide(owner, subject, arguments)
                params: dict[str, Any] = {"name": call.params["name"], "arguments": arguments}
            else:
                params = request_params(
                    session.name, call.method, call.params, self.door.grants.use_of(owner, session.name)
                )
                await self._take(owner, session.name, call.method)
        except (Refused, jsonrpc.RpcError) as refused:
            await self.door.record(owner, action, subject, "refused", detail | {"why": refused.message})
            self.door.till.observer.refused("tool", refused.code if isinstance(refused, Refused) else "not_found")
            raise
        await self.door.record(owner, action, subject, "allowed", detail)
        watched = self.door.till.observer.tool_call(ToolCall(owner.team, owner.member, subject, run)) if tool else None
        token = progress_token(call.params)
        pending = Pending(id_, call.method, subject, run, self.door.clock(), anyio.current_time(), watched, token)
        session.pending[id_] = pending
        return pending, params

    async def _carried(
        self, session: Session, pending: Pending, method: str, params: Mapping[str, Any], authorization: str | None
    ) -> Response:
        if method == "tools/call":
            await self.upstreams.admitted(pending.subject)
        message: Message = {"jsonrpc": "2.0", "id": pending.id, "method": method, "params": params}
        stack, handed_on = AsyncExitStack(), False
        try:
            opened = await stack.enter_async_context(self._line.post(session, message))
            if opened.content_type == "text/event-stream" and opened.status == 200:
                handed_on = True
                return self._stream(session, pending, opened, stack, authorization)
            return await self._at_once(session, pending, opened)
        except SessionUnknown:
            raise
        except (Refused, UpstreamFailed, HttpFailed, TimeoutError) as error:
            why = error.message if isinstance(error, Refused) else str(error) or "it did not answer in time"
            said = f"failed: {why.rstrip('.')}. Its server is at fault; try again later."
            outcome = "timeout" if isinstance(error, TimeoutError) else "upstream_failed"
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
        passed = await self._messages.passed(session, message) if message.get("id") == pending.id else None
        if passed is None or "method" in passed:
            raise UpstreamFailed("it answered another question")
        return JSONResponse(passed)

    def _stream(
        self,
        session: Session,
        pending: Pending | None,
        opened: Opened,
        stack: AsyncExitStack,
        authorization: str | None,
    ) -> Stream:
        async def check() -> None:
            await self._may_go_on(session, authorization)

        passage = Passage(self._messages, session, opened, pending, check, self._how)
        session.streams += 1

        async def closing() -> None:
            session.streams -= 1
            await stack.aclose()
            await self._stream_ended(session, pending, passage)

        return Stream(passage, session, closing)

    async def _stream_ended(self, session: Session, pending: Pending | None, passage: Passage) -> None:
        if passage.outcome in ("upstream_failed", "timeout"):
            self._line.failed(session.name)
        if pending is None:
            detail = {"why": passage.why}
            await self.door.record(session.owner, "mcp.stream", session.name, passage.outcome, detail)
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
            caller = await self.door.identify(authorization)
        except Refused as refused:
            raise Ended("its token ended, or its team was retired") from refused
        if caller != session.owner or session.closed:
            raise Ended("its session was closed")
        if await self.upstreams.one(session.name) is not session.served:
            raise Ended("main changed the server")
        if not self.door.grants.use_of(caller, session.name):
            raise Ended("nothing of the server is granted any more")

    async def _take(self, caller: Caller, name: str, method: str) -> None:
        """A place within the law's and the server's rate of calls a minute, for each method. Raises `Refused`."""
        if caller.kind != "member":
            return
        what = f"{name}__{method.replace('/', '_').lower()}"
        limits = [self.door.grants.rate(caller, what), await self.upstreams.rate_of(what)]
        least = min((limit for limit in limits if limit is not None), default=None)
        self._rates.take(caller.address, f"{name}:{method}", least, self.door.clock())

    async def _drop(self, session: Session) -> None:
        """Forgets it; what was under way in it is written down as broken."""
        self._sessions.drop(session)
        for pending in list(session.pending.values()):
            await self._messages.settle(session, pending, "broken")
