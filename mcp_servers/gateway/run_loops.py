"""Who goes round in circles is stopped: the same model or tool call again and again, a conversation that adds nothing, calls without end.

Counted in memory, for the runs that called last; a restart counts them again from the ledger (see `recalled`). Runs name themselves, so
this stops accidents, not attackers: what stops those is the budget. Tool calls, and what names no run, are counted within a window:
some tools are asked again until they are done, and who asks seldom goes round in no circle.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeVar

from mcp_servers.gateway.refusals import Refused
from memory.budgets import NO_RUN

#: So many runs, and members without one, are remembered, and so many different calls of each.
RUNS, REQUESTS = 4_000, 1_000

K = TypeVar("K")
V = TypeVar("V")


class Limits(Protocol):
    """See `policies.models.LoopLimits`."""

    @property
    def same_request_at_most(self) -> int | None: ...
    @property
    def same_tool_call_at_most(self) -> int | None: ...
    @property
    def without_progress_at_most(self) -> int | None: ...
    @property
    def calls_in_a_run_at_most(self) -> int | None: ...
    @property
    def window_seconds(self) -> float: ...


@dataclass(frozen=True)
class Step:
    """One call of a member. `what` is the hash of all that is asked, `turn` that of where the conversation stands.

    A turn is the last two messages without their ids: what was answered last, and what came back to it. Whoever is there again has
    learned nothing new meanwhile, however long the conversation has become.
    """

    team: str
    member: str
    run: str
    kind: Literal["model", "tool"]
    what: str
    turn: str = ""


class LoopStopped(Refused):
    """Somebody goes round in circles."""

    def __init__(self, whose: str, why: str, opens_at: datetime | None = None) -> None:
        super().__init__("not_allowed", f"{whose} {why}", opens_at, word="loop_stopped")
        #: Who it is, the same way each time.
        self.whose = whose

    @property
    def detail(self) -> dict[str, str]:
        """What its row in the ledger says."""
        return {"why": self.message, "loop_of": self.whose}


@dataclass
class _Turns:
    """One member's part of a run's conversation: where it was, and how many times in a row it came back to there."""

    known: set[str] = field(default_factory=set[str])
    idle: int = 0


@dataclass
class _Run:
    calls: int = 0
    same: Counter[str] = field(default_factory=Counter[str])
    turns: dict[str, _Turns] = field(default_factory=dict[str, _Turns])


@dataclass
class _Lately:
    """When the same call was made, oldest first."""

    times: deque[datetime] = field(default_factory=deque[datetime])


class RunLoops:
    """Threads may share it."""

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[str, str], _Run] = OrderedDict()
        self._lately: OrderedDict[tuple[str, str, str], _Lately] = OrderedDict()
        self._turn = threading.Lock()

    def check(self, step: Step, limits: Limits, now: datetime) -> None:
        """Raises `LoopStopped`: it is one too many. Counts no call; that is for `count`, once it may be made."""
        with self._turn:
            if _by_window(step):
                _check_lately(self._recent(step), step, limits, now)
                return
            seen = self._seen(step)
            if (why := _fault(seen, step, limits)) is not None:
                raise LoopStopped(_whose(step), why)

    def count(self, step: Step, at: datetime) -> None:
        """The call is made, or was made by an earlier process."""
        with self._turn:
            if _by_window(step):
                self._recent(step).times.append(at)
            else:
                _count(self._seen(step), step)

    def _seen(self, step: Step) -> _Run:
        return _kept(self._runs, (step.team, step.run), _Run)

    def _recent(self, step: Step) -> _Lately:
        return _kept(self._lately, (_whose(step), step.kind, step.what), _Lately)


def _by_window(step: Step) -> bool:
    return step.kind == "tool" or step.run == NO_RUN


def _whose(step: Step) -> str:
    return f"{step.team}/{step.member}" if step.run == NO_RUN else f"The run {step.run!r} of {step.team}"


def _kept(kept: OrderedDict[K, V], key: K, make: type[V]) -> V:
    found = kept.get(key)
    if found is None:
        found = kept[key] = make()
        if len(kept) > RUNS:
            kept.popitem(last=False)
    else:
        kept.move_to_end(key)
    return found


def _count(seen: _Run, step: Step) -> None:
    seen.calls += 1
    if len(seen.same) < REQUESTS or step.what in seen.same:
        seen.same[step.what] += 1
    turns = seen.turns.setdefault(step.member, _Turns())
    if step.turn in turns.known:
        turns.idle += 1
        return
    turns.idle = 0
    if len(turns.known) < REQUESTS:
        turns.known.add(step.turn)


def _fault(seen: _Run, step: Step, limits: Limits) -> str | None:
    """Why the call is one too many for its run; None: it is not."""
    most = limits.same_request_at_most
    if most is not None and seen.same[step.what] >= most:
        return (
            f"asked the same thing {most} times and is going round in circles; this request is not made again. Change what is asked, "
            "or raise loops.same_request_at_most in policies/models.yaml."
        )
    idle, turns = limits.without_progress_at_most, seen.turns.get(step.member)
    if idle is not None and turns is not None and turns.idle >= idle and step.turn in turns.known:
        return (
            f"makes no progress: the last {idle} calls of {step.member} went over what was said before, with nothing new in answer "
            "and nothing new from a tool. End it with what there is, or raise loops.without_progress_at_most in policies/models.yaml."
        )
    calls = limits.calls_in_a_run_at_most
    if calls is not None and seen.calls >= calls:
        return (
            f"has made {calls} model calls, the most a run may make; begin another run, or raise "
            "loops.calls_in_a_run_at_most in policies/models.yaml."
        )
    return None


def _check_lately(lately: _Lately, step: Step, limits: Limits, now: datetime) -> None:
    window = timedelta(seconds=limits.window_seconds)
    while lately.times and lately.times[0] <= now - window:
        lately.times.popleft()
    tool = step.kind == "tool"
    most = limits.same_tool_call_at_most if tool else limits.same_request_at_most
    if most is None or len(lately.times) < most:
        return
    did = f"called {step.what.partition(' ')[0]} with the same arguments" if tool else "asked the same thing"
    why = (
        f"{did} {most} times in {limits.window_seconds:g} seconds and is going round in circles; it is not done again before "
        f"that time is over. Change what is asked, or raise loops.{'same_tool_call' if tool else 'same_request'}_at_most in "
        "policies/models.yaml."
    )
    raise LoopStopped(_whose(step), why, lately.times[-most] + window)
