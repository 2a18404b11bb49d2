"""A tool call's way through: granted with these arguments, within its rate, admitted; then made; both decisions written down."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic_core import to_json

from mcp_servers.gateway.admission import Quarantined
from mcp_servers.gateway.door import Act, Door, sha256
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.rates import Rates
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.upstreams import Upstreams, dump
from mcp_servers.monitor.observer import ToolCall, ToolEnd

GATEWAY = Caller("kernel", "gateway", manager=True, deployment_id=None, kind="kernel")


class ToolCalls:
    """`upstreams` makes the calls; `door` knows the grants and writes the ledger."""

    def __init__(self, door: Door, upstreams: Upstreams) -> None:
        self._door, self._upstreams, self._rates = door, upstreams, Rates()

    async def call(self, authorization: str | None, name: str, arguments: dict[str, Any], run: str) -> bytes:
        """The result as it goes over the wire. Raises `Refused`; every end of a call has its row."""
        try:
            caller = await self.begin(authorization, name, arguments, run)
        except Refused as refused:
            self._door.till.observer.refused("tool", refused.code)
            raise
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

    async def begin(self, authorization: str | None, name: str, arguments: dict[str, Any], run: str) -> Caller:
        """Who calls, and that it may call this now with these arguments: decided and written down. Raises `Refused`."""
        act = Act("tool.call", name, {"arguments_sha256": sha256(to_json(arguments)), "run": run})
        limit = await self._upstreams.rate_of(name)
        return await self._door.begin(authorization, act, lambda caller: self._decide(caller, name, arguments, limit))

    def _decide(self, caller: Caller, name: str, arguments: Mapping[str, Any], limit: int | None) -> None:
        """Raises `Refused`. The rate is taken last: what is refused anyway uses up nothing. `limit`: the server's own."""
        self._door.grants.check_tool(caller, name, arguments)
        if caller.kind == "member":
            limits = [self._door.grants.rate(caller, name), limit]
            least = min((limit for limit in limits if limit is not None), default=None)
            self._rates.take(caller.address, name, least, self._door.clock())


async def note_quarantine(door: Door, server: str, found: Quarantined) -> None:
    """A ledger row for a tool that is not what was admitted."""
    detail = {"why": found.why, "admitted_sha256": found.admitted_sha256, "seen_sha256": found.seen_sha256}
    await door.record(GATEWAY, "tool.quarantine", f"{server}__{found.tool}", "quarantined", detail)


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
