"""What comes down from a server in a member's session, message by message: cleaned and passed on, answered for the member, or dropped."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, cast

import anyio
from mcp.types import CallToolResult
from pydantic import ValidationError
from pydantic_core import to_json

from mcp_servers.gateway import jsonrpc
from mcp_servers.gateway.door import Door, sha256
from mcp_servers.gateway.pass_through_law import granted_part, may_ask, may_notify
from mcp_servers.gateway.pass_through_sessions import Pending, RequestId, Session
from mcp_servers.gateway.rates import Rates
from mcp_servers.gateway.redaction import redact
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.upstreams import UNTRUSTED, cleaned, dump, error_result
from mcp_servers.monitor.observer import ToolEnd

#: Questions that a server may put in one session in a minute.
ASKS_PER_MINUTE = 60
_LONGEST_REASON = 500
_METHOD = re.compile(r"[a-z]+(?:[/_][a-zA-Z]+)*")
_TOO_OFTEN = "That is too many questions; ask again in a minute."

Message = dict[str, Any]
#: Sends a message of the gateway's own to the session's server.
Send = Callable[[Session, Message], Awaitable[None]]


class Messages:
    """`send` answers the server in the member's place."""

    def __init__(self, door: Door, send: Send) -> None:
        self._door, self._send, self._asks = door, send, Rates()

    async def passed(self, session: Session, message: Message) -> Message | None:
        """The message as the member sees it; None: nothing of it goes on."""
        if "method" not in message:
            return await self._answer(session, message)
        method, params = self._clean(session, str(message["method"])), _object(message.get("params"))
        if "id" in message:
            return await self._question(session, message["id"], method, params)
        return self._notification(session, method, params)

    async def failed(self, session: Session, pending: Pending, outcome: str, why: str) -> Message:
        """The end of a request that its server did not answer, as the member sees it."""
        if pending.method == "tools/call":
            result = dump(error_result(f"{pending.subject} {why}"))
            await self.settle(session, pending, "error" if outcome == "upstream_failed" else outcome, sha256(result))
            return _response(pending.id, jsonrpc.decode(result))
        await self.settle(session, pending, outcome)
        code = jsonrpc.REFUSED.get(outcome, jsonrpc.REFUSED["upstream_failed"])
        return _error(pending.id, code, f"{pending.subject} {why}")

    async def settle(self, session: Session, pending: Pending, outcome: str, result_sha256: str | None = None) -> None:
        """Writes down how a request ended, once."""
        if session.pending.get(pending.id) is pending:
            del session.pending[pending.id]
        if pending.settled:
            return
        pending.settled = True
        took = self._door.clock() - pending.began
        if pending.watched is not None:
            pending.watched(ToolEnd(outcome, took.total_seconds()))
        action = "tool.result" if pending.method == "tools/call" else "mcp.result"
        detail = {"result_sha256": result_sha256, "run": pending.run, "ms": int(took / timedelta(milliseconds=1))}
        with anyio.CancelScope(shield=True):
            await self._door.record(session.owner, action, pending.subject, outcome, detail)

    async def _answer(self, session: Session, message: Message) -> Message | None:
        """The answer to a request of this session; one that nobody asked for is dropped."""
        id_ = request_id(message.get("id"))
        pending = session.pending.get(id_) if id_ is not None else None
        if pending is None:
            return None
        if isinstance(message.get("error"), dict):
            return await self._refusal(session, pending, message["error"])
        result = message.get("result")
        if not isinstance(result, dict):
            return await self.failed(session, pending, "upstream_failed", "failed: its answer has no result.")
        if pending.method == "tools/call":
            return await self._tool_result(session, pending, cast("dict[str, Any]", result))
        use = self._door.grants.use_of(session.owner, session.name)
        kept = granted_part(pending.method, cast("dict[str, Any]", result), use)
        # An empty result says that it was done, and nothing else.
        wire = self._clean(session, kept) | ({"_meta": UNTRUSTED} if kept else {})
        raw, most = to_json(wire), session.served.terms.max_result_bytes
        if len(raw) > most:
            why = f"failed: it gave {len(raw)} bytes; {most} are allowed. Ask for less at a time."
            return await self.failed(session, pending, "upstream_failed", why)
        await self.settle(session, pending, "ok", sha256(raw))
        return _response(pending.id, wire)

    async def _tool_result(self, session: Session, pending: Pending, given: Mapping[str, Any]) -> Message:
        try:
            result = cleaned(CallToolResult.model_validate(given), session.served.terms)
        except ValidationError:
            return await self.failed(
                session, pending, "upstream_failed", "failed: its result is none by the protocol. Try again later."
            )
        raw = dump(result)
        await self.settle(session, pending, "error" if result.isError else "ok", sha256(raw))
        return _response(pending.id, jsonrpc.decode(raw))

    async def _refusal(self, session: Session, pending: Pending, error: Mapping[str, Any]) -> Message:
        """The server's own error: its code, and its words cut short."""
        code = error.get("code")
        said = self._clean(session, str(error.get("message", "no reason given")))[:_LONGEST_REASON]
        await self.settle(session, pending, "error", sha256(said.encode("utf-8", "replace")))
        known = isinstance(code, int) and not isinstance(code, bool)
        return _error(pending.id, int(code) if known and code is not None else jsonrpc.INTERNAL_ERROR, said)

    async def _question(
        self, session: Session, given: object, method: str, params: Mapping[str, Any]
    ) -> Message | None:
        """The server's own request: on to the member where its grants say so, else answered with a no."""
        id_ = request_id(given)
        if id_ is None or self._clean(session, id_) != id_:
            return None
        subject, use = f"{session.name}:{method_name(method)}", self._door.grants.use_of(session.owner, session.name)
        why = self._why_not_asked(session, method, may_ask(method, session.offered, use))
        if why is not None:
            # Beyond its rate a server gets no more rows out of us than that.
            if why is not _TOO_OFTEN:
                await self._door.record(session.owner, "mcp.ask", subject, "refused", {"why": why})
            await self._send(session, _error(id_, jsonrpc.METHOD_NOT_FOUND, why))
            return None
        wire = self._clean(session, params) | {"_meta": UNTRUSTED}
        session.ask(id_, method, anyio.current_time())
        detail = {"params_sha256": sha256(to_json(wire)), "offered": sorted(session.offered)}
        await self._door.record(session.owner, "mcp.ask", subject, "allowed", detail)
        return {"jsonrpc": "2.0", "id": id_, "method": method, "params": wire}

    def _why_not_asked(self, session: Session, method: str, allowed: bool) -> str | None:
        try:
            self._asks.take(session.id, "asks", ASKS_PER_MINUTE, self._door.clock())
        except Refused:
            return _TOO_OFTEN
        if allowed:
            return None
        return (
            f"{session.owner.address} may not be asked {method[:60]!r}: no line of `servers` in policies/access.yaml allows "
            "it, or its client cannot do it."
        )

    def _notification(self, session: Session, method: str, params: Mapping[str, Any]) -> Message | None:
        if method == "notifications/progress":
            goes_on = any(it.token is not None and it.token == params.get("progressToken") for it in _all(session))
        elif method == "notifications/cancelled":
            id_ = request_id(params.get("requestId"))
            goes_on = id_ is not None and session.asked.pop(id_, None) is not None
        else:
            goes_on = may_notify(method, params, self._door.grants.use_of(session.owner, session.name))
        if not goes_on:
            return None
        return {"jsonrpc": "2.0", "method": method, "params": self._clean(session, params) | {"_meta": UNTRUSTED}}

    def _clean(self, session: Session, value: Any) -> Any:
        return redact(value, session.served.terms.secrets())


def method_name(method: str) -> str:
    """What the ledger calls a method: its name, if it looks like one. What is none is nobody's to read there."""
    return method if len(method) <= 60 and _METHOD.fullmatch(method) else "no method"


def request_id(given: object) -> RequestId | None:
    """An id as JSON-RPC has it in MCP; None: it is none."""
    return given if isinstance(given, str | int) and not isinstance(given, bool) else None


def _all(session: Session) -> list[Pending]:
    return list(session.pending.values())


def _response(id_: RequestId, result: Mapping[str, Any]) -> Message:
    return {"jsonrpc": "2.0", "id": id_, "result": result}


def _error(id_: RequestId, code: int, message: str) -> Message:
    return {"jsonrpc": "2.0", "id": id_, "error": {"code": code, "message": message}}


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
