"""A tool call's way through: granted with these arguments, within its rate, admitted; then made; both decisions written down."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol

import anyio
from pydantic_core import to_json

from mcp_servers.gateway.admission import Quarantined
from mcp_servers.gateway.door import Door, sha256
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

    async def call(self, caller: Caller, name: str, arguments: dict[str, Any], run: str, wait: float = 0.0) -> bytes:
        """The result as it goes over the wire. Raises `Refused`; every end of a call has its row.

        `wait`: seconds it may wait for its rate to open instead of being refused.
        """
        detail = {"arguments_sha256": sha256(to_json(arguments)), "run": run}
        if not TOOL.fullmatch(name):
            # Written down by its hash: what is no name is nobody's to read, in no ledger and on no screen.
            why = (
                "A tool's name is <server>__<tool>, in lower-case letters, digits and underscores; tools/list has them."
            )
            detail |= {"why": why, "name_sha256": sha256(name.encode(errors="replace"))}
            await self._door.record(caller, "tool.call", "no name of a tool", "refused", detail)
            raise Refused("bad_request", why)
        try:
            await self.decide(caller, name, arguments, wait)
        except Refused as refused:
            await self._door.record(caller, "tool.call", name, "refused", detail | {"why": refused.message})
            self._door.till.observer.refused("tool", refused.code)
            raise
        await self._door.record(caller, "tool.call", name, "allowed", detail)
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
            ended_as(ToolEnd(outcome, (self._door.clock() - began).total_seconds()))
            ended = {"result_sha256": result_sha256, "run": run, "ms": _ms(self._door.clock() - began)}
            with anyio.CancelScope(shield=True):
                await self._door.record(caller, "tool.result", name, outcome, ended)

    async def decide(self, caller: Caller, name: str, arguments: Mapping[str, Any], wait: float) -> None:
        """Raises `Refused`. The rate is taken last: what is refused anyway uses up nothing."""
        self._door.grants.check_tool(caller, name, arguments)
        if caller.kind == "member":
            limits = [self._door.grants.rate(caller, name), await self._upstreams.rate_of(name)]
            least = min((limit for limit in limits if limit is not None), default=None)
            await self._take(caller, name, least, wait)

    async def _take(self, caller: Caller, name: str, per_minute: int | None, wait: float) -> None:
        """A place in the rate's window; waited for if the call may wait. Raises `Refused`."""
        thing = f"{caller.address} {name}"
        if not wait or per_minute is None:
            self.rates.take(caller.address, name, per_minute, self._door.clock())
            return

        async def attempt() -> None:
            now = self._door.clock()
            try:
                self.rates.take(caller.address, name, per_minute, now)
            except Refused as refused:
                if refused.opens_at is None:
                    raise
                raise NotYet((refused.opens_at - now).total_seconds()) from refused

        law = self._queue_law()
        try:
            seconds, bounds = min(wait, law.seconds), Bounds(law.at_most, law.each_team_at_most)
            await self._door.queue.turn(thing, caller.team, seconds, bounds, attempt)
        except SentAway as away:
            opens_at = self.rates.opens_at(caller.address, name, per_minute)
            why = f"{caller.address} may call {name} {per_minute} times in a minute, and {away}. Come again later."
            raise Refused("rate_limited", why, opens_at) from away


async def note_quarantine(door: Door, server: str, found: Quarantined) -> None:
    """A ledger row for a tool that is not what was admitted."""
    detail = {"why": found.why, "admitted_sha256": found.admitted_sha256, "seen_sha256": found.seen_sha256}
    await door.record(GATEWAY, "tool.quarantine", f"{server}__{found.tool}", "quarantined", detail)


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
