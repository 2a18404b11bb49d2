"""What a member does in a session with one server: each act allowed, written down, carried, and written down again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import anyio
from fastapi.responses import Response
from mcp.shared.version import SUPPORTED_PROTOCOL_VERSIONS
from mcp.types import LATEST_PROTOCOL_VERSION
from pydantic_core import to_json

from mcp_servers.gateway import jsonrpc
from mcp_servers.gateway.door import Door, sha256
from mcp_servers.gateway.http_server import SESSION, HttpServer
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.jsonrpc import Call, Written
from mcp_servers.gateway.pass_through_exchange import Exchange
from mcp_servers.gateway.pass_through_law import (
    ASKS,
    client_capabilities,
    progress_token,
    request_params,
    server_greeting,
)
from mcp_servers.gateway.pass_through_line import Line
from mcp_servers.gateway.pass_through_messages import Messages, method_name, request_id
from mcp_servers.gateway.pass_through_sessions import (
    MOST_REQUESTS,
    MOST_STREAMS,
    Pending,
    RequestId,
    Session,
    Sessions,
    SessionUnknown,
)
from mcp_servers.gateway.pass_through_stream import Patience
from mcp_servers.gateway.rates import Rates
from mcp_servers.gateway.redaction import redact
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.rpc_server import greeting
from mcp_servers.gateway.served import Served
from mcp_servers.gateway.tool_calls import ToolCalls, subject_of
from mcp_servers.gateway.upstreams import Upstreams
from mcp_servers.monitor.observer import ToolCall


class PassThrough:
    """`calls` decides on tools as it does for /mcp, with the same rates."""

    def __init__(self, door: Door, upstreams: Upstreams, calls: ToolCalls, how: Patience | None = None) -> None:
        self.door, self.upstreams, self.calls = door, upstreams, calls
        self._sessions, self._rates = Sessions(), Rates()
        self._line = Line(door.clock, self._drop)
        self._messages = Messages(door, self._line.tell)
        self._exchange = Exchange(door, upstreams, self._messages, self._line, how or Patience())

    async def close(self) -> None:
        """Writes down as broken what was still under way."""
        await self._exchange.close()
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
            too_many = self._sessions.room_for(caller, anyio.current_time())
        except Refused as refused:
            await self.door.record(caller, "mcp.session", name, "refused", detail | {"why": refused.message})
            raise
        await self.door.record(caller, "mcp.session", name, "allowed", detail)
        for gone in too_many:
            await self.close_session(gone, "made room")
        asked = version if version in SUPPORTED_PROTOCOL_VERSIONS else LATEST_PROTOCOL_VERSION
        try:
            said, headers = await self._line.greet(
                name, server, greeting() | {"protocolVersion": asked, "capabilities": offered}
            )
        except Refused as refused:
            await self.door.record(caller, "mcp.session", name, refused.code, {"why": refused.message})
            raise
        session = Session(self.door.new_id(), caller, name, served, server, headers, offered, anyio.current_time())
        self._sessions.add(session)
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

    async def request(
        self, session: Session, call: Call, said: tuple[str, float], authorization: str | None
    ) -> Response:
        """A request, carried to the server; the answer as JSON or as a stream. Raises `Refused`, `RpcError`.

        `said`: the run it belongs to, and for how many seconds a tool call may wait for its turn.
        """
        id_ = cast("RequestId", call.id)
        if id_ in session.pending or len(session.pending) >= MOST_REQUESTS:
            why = f"This id is in use, or {MOST_REQUESTS} requests are under way; wait for an answer."
            raise await self._refused(session, "mcp.request", method_name(call.method), Refused("overloaded", why))
        subject = (
            f"{session.name}__{call.params['name']}"
            if call.method == "tools/call"
            else f"{session.name}:{method_name(call.method)}"
        )
        token, clock = progress_token(call.params), self.door.clock()
        pending = Pending(id_, call.method, subject, said[0], clock, anyio.current_time(), token=token)
        session.pending[id_] = pending
        try:
            params = await self._allowed(session, pending, call.params, said[1], authorization)
        except BaseException:
            session.pending.pop(id_, None)
            raise
        if token is not None:
            params["_meta"] = {"progressToken": token}
        try:
            return await self._exchange.carried(session, pending, call.method, params, authorization)
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
            wrong = Refused("bad_request", f"The notification {call.method[:60]!r} does not pass here.")
            raise await self._refused(session, "mcp.request", method_name(call.method), wrong)
        await self._line.tell(session, {"jsonrpc": "2.0", "method": call.method, "params": params})

    async def answer(self, session: Session, id_: RequestId, given: Mapping[str, Any]) -> None:
        """The client's answer to what the server asked. Raises `Refused`."""
        method, _ = session.asked.pop(id_, (None, 0.0))
        if method is None:
            wrong = Refused("bad_request", "The server has no open question of that id in this session.")
            raise await self._refused(session, "mcp.answer", "no question", wrong)
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
            wrong = Refused("overloaded", f"{MOST_STREAMS} streams of this session are open; end one first.")
            raise await self._refused(session, "mcp.stream", "one more", wrong)
        await self.door.record(session.owner, "mcp.stream", session.name, "allowed", {"resumed": last is not None})
        return await self._exchange.listened(session, theirs, authorization)

    async def _refused(self, session: Session, action: str, what: str, refused: Refused) -> Refused:
        """The refusal, written down."""
        await self.door.record(session.owner, action, f"{session.name}:{what}", "refused", {"why": refused.message})
        return refused

    async def _allowed(
        self, session: Session, pending: Pending, params: dict[str, Any], wait: float, authorization: str | None
    ) -> dict[str, Any]:
        """What is to be sent: decided on, and written down either way. Raises `Refused`, `RpcError`."""
        owner, method = session.owner, pending.method
        if method == "tools/call":
            return await self._tool_allowed(pending, params, wait, authorization)
        detail = {"params_sha256": sha256(to_json(params)), "run": pending.run}
        try:
            sent = request_params(session.name, method, params, self.door.grants.use_of(owner, session.name))
            await self._take(owner, session.name, method)
        except (Refused, jsonrpc.RpcError) as refused:
            await self.door.record(owner, "mcp.request", pending.subject, "refused", detail | {"why": refused.message})
            self.door.till.observer.refused("tool", refused.code if isinstance(refused, Refused) else "not_found")
            raise refused if isinstance(refused, Refused) else Written(refused) from refused
        await self.door.record(owner, "mcp.request", pending.subject, "allowed", detail)
        return sent

    async def _tool_allowed(
        self, pending: Pending, params: dict[str, Any], wait: float, authorization: str | None
    ) -> dict[str, Any]:
        arguments: dict[str, Any] = params.get("arguments") or {}
        # What is no name stands nowhere, whoever asks meanwhile what is under way.
        name, pending.subject = pending.subject, subject_of(pending.subject)
        owner = await self.calls.begin(authorization, name, arguments, pending.run, wait)
        call = ToolCall(owner.team, owner.member, pending.subject, pending.run)
        pending.watched = self.door.till.observer.tool_call(call)
        return {"name": params["name"], "arguments": arguments}

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
