"""A run that goes round in circles is stopped: the same request again and again, or calls without end.

Counted in memory, for the runs that called last; a restart counts them again from the ledger (see `recalled`). Runs name themselves, so
this stops accidents, not attackers: what stops those is the budget.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Protocol

from mcp_servers.gateway.refusals import Refused

#: So many runs are remembered, and so many different requests of each.
RUNS, REQUESTS = 4_000, 1_000


class Limits(Protocol):
    """See `policies.models.LoopLimits`."""

    @property
    def same_request_at_most(self) -> int | None: ...
    @property
    def calls_in_a_run_at_most(self) -> int | None: ...


class LoopStopped(Refused):
    """The run goes round in circles."""

    def __init__(self, message: str) -> None:
        super().__init__("not_allowed", message)


@dataclass
class _Run:
    calls: int = 0
    requests: Counter[str] = field(default_factory=Counter[str])


class RunLoops:
    """Threads may share it."""

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[str, str], _Run] = OrderedDict()
        self._turn = threading.Lock()

    def check(self, team: str, run: str, request_sha256: str, limits: Limits) -> None:
        """Counts the call. Raises `LoopStopped`: it is one too many."""
        with self._turn:
            seen = self._seen(team, run)
            why = _fault(seen, request_sha256, limits)
            if why is None:
                _count(seen, request_sha256)
                return
        raise LoopStopped(f"The run {run!r} of {team} {why}")

    def recall(self, team: str, run: str, request_sha256: str) -> None:
        """A call that an earlier process let through."""
        with self._turn:
            _count(self._seen(team, run), request_sha256)

    def _seen(self, team: str, run: str) -> _Run:
        seen = self._runs.setdefault((team, run), _Run())
        self._runs.move_to_end((team, run))
        if len(self._runs) > RUNS:
            self._runs.popitem(last=False)
        return seen


def _count(seen: _Run, request_sha256: str) -> None:
    seen.calls += 1
    if len(seen.requests) < REQUESTS or request_sha256 in seen.requests:
        seen.requests[request_sha256] += 1


def _fault(seen: _Run, request_sha256: str, limits: Limits) -> str | None:
    same, calls = limits.same_request_at_most, limits.calls_in_a_run_at_most
    if same is not None and seen.requests[request_sha256] >= same:
        return (
            f"asked the same thing {same} times and is going round in circles; this request is not made again. Change what "
            "is asked, or raise loops.same_request_at_most in policies/models.yaml."
        )
    if calls is not None and seen.calls >= calls:
        return (
            f"has made {calls} model calls, the most a run may make; begin another run, or raise "
            "loops.calls_in_a_run_at_most in policies/models.yaml."
        )
    return None
