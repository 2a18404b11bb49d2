"""A tool call's way through: granted with these arguments, within its rate, admitted; then made; both decisions written down."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol

from pydantic_core import to_json

from mcp_servers.gateway.admission import Quarantined
from mcp_servers.gateway.door import Act, Door, sha256
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.rates import Rates
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.upstreams import Upstreams, dump
from mcp_servers.monitor.observer import ToolCall, ToolEnd
from mcp_servers.resilience.queue import Bounds, NotYet, SentAway

TOOL = re.compile(r"[a-z][a-z0-9_]{0,39}__[a-z][a-z0-9_]{0,63}")
GATEWAY = Caller("kernel", "gateway", manager=True, deployment_id=None, kind="kernel")


class QueueLaw(Protocol):
    """See `policies.models.Queue`."""

    @property
    def at_most(self) -> int: ...
    @property
    def each_team_at_most(self) -> int: ...
    @property
    def seconds(self) -> float: ...


class ToolCalls:
    """`upstreams` makes the calls; `door` knows the grants and writes the ledger; `queue_law` says how many may wait, and how long."""

    def __init__(self, door: Door, upstreams: Upstreams, queue_law: Callable[[], QueueLaw]) -> None:
        self._door, self._upstreams, self._queue_law, self.rates = door, upstreams, queue_law, Rates()

    async def call(
        self, authorization: str | None, name: str, arguments: dict[str, Any], run: str, wait: float = 0.0
    ) -> bytes:
        """The result as it goes over the wire. Raises `Refused`; every end of a call has its row."""
        caller = await self.begin(authorization, name, arguments, run, wait)
        ended_as = self._door.till.observer.tool_call(ToolCall(caller.team, caller.member, name, run))
        began, outcome, result_sha256 = self._door.clock(), "broken", None
        try:
            result = await self._upstreams.call(name, arguments, caller)
            wire = dump(result)
            outcome, result_sha256 = ("error" if result.isError else "ok"), sha256(wire)
            return wire
        except Refused as refused:
            outcome = refused.code
            raise
        finally:
            took = self._door.clock() - began
            ended_as(ToolEnd(outcome, took.total_seconds()))
            ended = {"result_sha256": result_sha256, "run": run, "ms": _ms(took)}
            await self._door.record(caller, "tool.result", name, outcome, ended)

    async def begin(
        self, authorization: str | None, name: str, arguments: Mapping[str, Any], run: str, wait: float = 0.0
    ) -> Caller:
        """Who calls, and that it may call this now with these arguments: decided and written down. Raises `Refused`.

        `wait`: seconds it may wait for its rate to open instead of being refused.
        """
        detail = {"arguments_sha256": sha256(to_json(arguments)), "run": run}
        try:
            if (subject := subject_of(name)) != name:
                # Written down by its hash: what is no name is nobody's to read, in no ledger and on no screen.
                detail["name_sha256"] = sha256(name.encode(errors="replace"))
                return await self._door.begin(authorization, Act("tool.call", subject, detail), _no_name)
            act, limit = Act("tool.call", name, detail), await self._upstreams.rate_of(name)

            def decide(caller: Caller) -> None:
                self.decide(caller, name, arguments, limit)

            if wait and (line := self._line(authorization, name, arguments, limit)) is not None:
                return await self._in_turn(authorization, act, decide, *line, wait)
            return await self._door.begin(authorization, act, decide)
        except Refused as refused:
            self._door.till.observer.refused("tool", refused.code)
            raise

    def decide(self, caller: Caller, name: str, arguments: Mapping[str, Any], limit: int | None) -> None:
        """Raises `Refused`. The rate is taken last: what is refused anyway uses up nothing. `limit`: the server's own."""
        per_minute = _least(caller, self._door.grants.check_tool(caller, name, arguments), limit)
        self.rates.take(caller.address, name, per_minute, self._door.clock())

    def _line(
        self, authorization: str | None, name: str, arguments: Mapping[str, Any], limit: int | None
    ) -> tuple[Caller, int] | None:
        """Who would wait, and for one of how many calls a minute; None if nothing gets better by waiting."""
        claimed = self._door.claimed(authorization)
        if claimed is None:
            return None
        try:
            per_minute = _least(claimed, self._door.grants.check_tool(claimed, name, arguments), limit)
        except Refused:
            return None
        return (claimed, per_minute) if per_minute else None

    async def _in_turn(
        self,
        authorization: str | None,
        act: Act,
        decide: Callable[[Caller], None],
        who: Caller,
        per_minute: int,
        wait: float,
    ) -> Caller:
        """`Door.begin`, as soon as there is a place in the rate's window; each try asks anew who calls, and whether it may."""

        def once(caller: Caller) -> None:
            now = self._door.clock()
            try:
                decide(caller)
            except Refused as refused:
                if refused.opens_at is None:
                    raise
                raise NotYet((refused.opens_at - now).total_seconds()) from refused

        async def attempt() -> Caller:
            return await self._door.begin(authorization, act, once)

        law = self._queue_law()
        seconds, bounds = min(wait, law.seconds), Bounds(law.at_most, law.each_team_at_most)
        try:
            return await self._door.queue.turn(f"{who.address} {act.subject}", who.team, seconds, bounds, attempt)
        except SentAway as away:
            why = f"{who.address} may call {act.subject} {per_minute} times in a minute, and {away}. Come again later."

            def sent_away(caller: Caller) -> None:
                opens_at = self.rates.opens_at(caller.address, act.subject, per_minute)
                raise Refused("rate_limited", why, opens_at)

            return await self._door.begin(authorization, act, sent_away)


def subject_of(name: str) -> str:
    """What the ledger and the figures call a tool: its name, if it is one."""
    return name if TOOL.fullmatch(name) else "no name of a tool"


def _least(caller: Caller, law: int | None, server: int | None) -> int | None:
    """How often a minute the law and the server let it be called; None: as often as one likes."""
    if caller.kind != "member":
        return None
    return server if law is None or (server is not None and server < law) else law


def _no_name(_caller: Caller) -> None:
    raise Refused(
        "bad_request",
        "A tool's name is in lower-case letters, digits and underscores, at /mcp with its server's before it "
        "(<server>__<tool>); tools/list has them.",
    )


async def note_quarantine(door: Door, server: str, found: Quarantined) -> None:
    """A ledger row for a tool that is not what was admitted."""
    detail = {"why": found.why, "admitted_sha256": found.admitted_sha256, "seen_sha256": found.seen_sha256}
    await door.record(GATEWAY, "tool.quarantine", f"{server}__{found.tool}", "quarantined", detail)


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
