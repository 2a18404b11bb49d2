"""Waits its turn instead of failing: a bounded line for each thing that is waited for, fair between teams, cleared in good order.

What is waited for is decided elsewhere: whoever is first in a line is asked to try, and says how long not to try again. Nothing is
held for a caller that waits, so nothing is lost when it is sent away.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

T = TypeVar("T")

#: How a wait ended.
End = Literal["passed", "late", "full", "stopped", "gone"]


class NotYet(Exception):
    """A try that came too early. `seconds`: when to look again, unless something is `freed` before."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not yet; look again in {seconds:g} s")
        self.seconds = seconds


class SentAway(Exception):
    """The wait ended without its turn; nothing was done. `end` says why: the line was full, the time was up, or all stops."""

    def __init__(self, end: Literal["late", "full", "stopped"], why: str) -> None:
        super().__init__(why)
        self.end: Literal["late", "full", "stopped"] = end


@dataclass(frozen=True)
class Bounds:
    """How many may wait, over all lines: together, and of one team. 0: nobody waits."""

    at_most: int = 64
    each_team_at_most: int = 16


@dataclass(eq=False)
class _Waiter:
    team: str
    woken: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class _Line:
    """Each team's callers in the order they came, the teams in turn."""

    teams: OrderedDict[str, deque[_Waiter]] = field(default_factory=OrderedDict[str, deque[_Waiter]])

    @property
    def first(self) -> _Waiter | None:
        return next(iter(self.teams.values()))[0] if self.teams else None

    def join(self, waiter: _Waiter) -> None:
        self.teams.setdefault(waiter.team, deque[_Waiter]()).append(waiter)

    def leave(self, waiter: _Waiter, *, served: bool) -> None:
        """`served`: the team had its turn, and the others come before it has another."""
        mine = self.teams[waiter.team]
        mine.remove(waiter)
        if not mine:
            del self.teams[waiter.team]
        elif served:
            self.teams.move_to_end(waiter.team)


class Queue:
    """Lines by the name of what they wait for. One event loop waits; `freed`, `stop` and the figures are for any thread.

    `told` learns how each wait ended, and after how many seconds.
    """

    def __init__(self, told: Callable[[End, float], None] = lambda _end, _seconds: None) -> None:
        self._told = told
        self._lines: dict[str, _Line] = {}
        self._waiting: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    @property
    def waiting(self) -> int:
        return self._waiting.total()

    def waits_for(self, thing: str) -> bool:
        """Does anybody? Whoever comes now and may wait goes behind them."""
        return thing in self._lines

    def lines(self) -> dict[str, int]:
        """How many wait for what."""
        return {thing: sum(map(len, list(line.teams.values()))) for thing, line in list(self._lines.items())}

    async def turn(
        self, thing: str, team: str, seconds: float, bounds: Bounds, attempt: Callable[[], Awaitable[T]]
    ) -> T:
        """What `attempt` gives once it is this caller's turn and the attempt does not raise `NotYet`.

        Raises `SentAway`, and whatever else the attempt raises. An attempt under way is never cut short by the time.
        """
        loop = self._loop = asyncio.get_running_loop()
        waiter, began = self._join(thing, team, bounds), loop.time()
        end: End = "gone"
        try:
            while True:
                waiter.woken.clear()
                if self._stopping:
                    end = "stopped"
                    raise SentAway("stopped", "the company is stopping")
                look_again = math.inf
                if self._lines[thing].first is waiter:
                    try:
                        found = await attempt()
                    except NotYet as early:
                        look_again = early.seconds
                    except Exception:
                        end = "passed"
                        raise
                    else:
                        end = "passed"
                        return found
                left = began + seconds - loop.time()
                if left <= 0:
                    end = "late"
                    raise SentAway("late", f"its turn did not come within {seconds:g} s")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, look_again)):
                        await waiter.woken.wait()
        finally:
            self._leave(thing, waiter, served=end == "passed")
            self._told(end, loop.time() - began)

    def freed(self) -> None:
        """Something ended that somebody may wait for: whoever is first looks again. Costs nothing while nobody waits."""
        if self._lines and self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake_first)

    def stop(self) -> None:
        """Sends everybody away, and from now on everybody who would wait."""
        self._stopping = True
        if self._lines and self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake_all)

    def _join(self, thing: str, team: str, bounds: Bounds) -> _Waiter:
        if self._stopping:
            raise self._sent_away("stopped", "the company is stopping")
        if self.waiting >= bounds.at_most:
            raise self._sent_away("full", f"{self.waiting} wait already, and {bounds.at_most} may")
        if self._waiting[team] >= bounds.each_team_at_most:
            raise self._sent_away(
                "full", f"{self._waiting[team]} of {team} wait already, and {bounds.each_team_at_most} of a team may"
            )
        waiter = _Waiter(team)
        self._lines.setdefault(thing, _Line()).join(waiter)
        self._waiting[team] += 1
        return waiter

    def _sent_away(self, end: Literal["full", "stopped"], why: str) -> SentAway:
        self._told(end, 0.0)
        return SentAway(end, why)

    def _leave(self, thing: str, waiter: _Waiter, *, served: bool) -> None:
        line = self._lines[thing]
        line.leave(waiter, served=served)
        self._waiting[waiter.team] -= 1
        if not self._waiting[waiter.team]:
            del self._waiting[waiter.team]
        if (following := line.first) is None:
            del self._lines[thing]
        else:
            following.woken.set()

    def _wake_first(self) -> None:
        for line in self._lines.values():
            if (first := line.first) is not None:
                first.woken.set()

    def _wake_all(self) -> None:
        for line in self._lines.values():
            for waiter in (one for mine in line.teams.values() for one in mine):
                waiter.woken.set()
