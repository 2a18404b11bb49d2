"""Model calls that may wait for their turn: for a free place, or until one link of their chain may be asked again.

They wait before anything is counted, held or sent, so a call that is sent away was never made; and what a provider answered is
never asked again, for that would be a second layer of retries over the chain's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import anyio

from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.refusals import Code, Refused
from mcp_servers.gateway.till import ModelAsk, Till, Try
from mcp_servers.resilience.queue import Bounds, NotYet, Queue, SentAway
from memory.rows import Rows

#: What calls wait for that found no free place.
PLACE = "a free place"
#: The least of its deadline that a call keeps for being answered. Seconds.
_FOR_THE_ANSWER = 1.0

#: Writes a row: caller, action, subject, outcome, detail.
Record = Callable[[Caller, str, str, str, Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class Blocked:
    """What stands in a call's way: the line to wait in, why, and after how long to look again by oneself."""

    thing: str
    why: str
    code: Code
    look_again: timedelta


class _Moved(Exception):
    """At the head of its line it found that something else stands in its way."""

    def __init__(self, to: Blocked) -> None:
        super().__init__(to.thing)
        self.to = to


class ModelQueue:
    """`first` is asked inside the writer, `turn` on the event loop."""

    def __init__(self, queue: Queue, till: Till, record: Record, clock: Callable[[], datetime]) -> None:
        self._queue = queue
        self._till, self._record, self._clock = till, record, clock

    def first(self, rows: Rows, caller: Caller, ask: ModelAsk) -> Try | Blocked | Refused:
        """The call's first try, paid for; or what it has to wait for, if it may; or why it may not pass."""
        # Whoever may not use the model at all is told so at once.
        if ask.may_wait and (caller.kind != "member" or ask.asked in self._till.grants.models(caller)):
            found = self._blocked(ask)
            if found is not None:
                return found
        return self._till.begin(rows, caller, ask)

    async def turn(
        self,
        caller: Caller,
        ask: ModelAsk,
        found: Blocked,
        begin: Callable[[ModelAsk], Awaitable[Try]],
        gone: Callable[[], Awaitable[bool]],
    ) -> tuple[ModelAsk, Try]:
        """Waits, then has the call `begin` with what is left of its deadline. Raises `Refused`, with a row.

        `gone`: did the caller go away meanwhile? Nothing is bought that nobody reads.
        """
        began = anyio.current_time()
        wait = min(ask.may_wait.total_seconds(), ask.deadline.total_seconds() - _FOR_THE_ANSWER)

        async def attempt() -> tuple[ModelAsk, Try]:
            if (still := self._blocked(ask, ahead=False)) is not None:
                if still.thing != found.thing:
                    raise _Moved(still)
                raise NotYet(still.look_again.total_seconds())
            if await gone():
                raise Refused("timeout", "The caller went away while it waited; nothing was done or charged.")
            waited = timedelta(seconds=anyio.current_time() - began)
            mine = replace(ask, deadline=ask.deadline - waited, waited=waited)
            try:
                return mine, await begin(mine)
            except Refused as refused:
                # Somebody who does not wait was quicker.
                if refused.code in ("overloaded", "upstream_failed") and (still := self._blocked(ask, ahead=False)):
                    raise NotYet(still.look_again.total_seconds()) from refused
                raise

        bounds = Bounds(ask.law.queue.at_most, ask.law.queue.each_team_at_most)
        while True:
            left = wait - (anyio.current_time() - began)
            try:
                return await self._queue.turn(found.thing, caller.team, left, bounds, attempt)
            except _Moved as moved:
                found = moved.to
            except SentAway as away:
                raise await self._sent_away(caller, ask, found, away, anyio.current_time() - began) from away

    def _blocked(self, ask: ModelAsk, *, ahead: bool = True) -> Blocked | None:
        """`ahead`: others who wait for the same stand in the way too."""
        till, now = self._till, self._clock()
        # A line of each chain: who waits for its first link alone is not in the way of who has others to turn to.
        chain = ", ".join(link.name for link in ask.plan.links)
        if (why := till.load.why_not(now)) is not None or (ahead and self._queue.waits_for(PLACE)):
            why = why or "others wait for a free place already"
            return Blocked(PLACE, why, "overloaded", till.load.come_again)
        left = till.circuits.closed_for(ask.plan.links, ask.law.circuit, now)
        if left is not None or (ahead and self._queue.waits_for(chain)):
            why = f"{chain} failed too often and is left alone"
            return Blocked(chain, why, "upstream_failed", left or timedelta(0))
        return None

    async def _sent_away(self, caller: Caller, ask: ModelAsk, found: Blocked, away: SentAway, waited: float) -> Refused:
        """The refusal, after its row."""
        opens_at = self._clock() + (self._till.load.come_again if away.end != "late" else found.look_again)
        code: Code = found.code if away.end == "late" else "overloaded"
        why = f"{found.why[:1].upper()}{found.why[1:]}, and {away}. Nothing was done or charged; come again later."
        detail = {"asked": ask.asked, "purpose": ask.purpose, "run": ask.run, "request_sha256": ask.request_sha256}
        detail |= {"why": why, "waited_for": found.thing, "waited_ms": int(waited * 1000)}
        await self._record(caller, "model.call", ask.plan.links[0].name, "refused", detail)
        return Refused(code, why, opens_at)
