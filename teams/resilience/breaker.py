"""A circuit breaker: after so many failures in a row nobody asks any more, until one trial shows that it works again.

The libraries there are read the wall clock themselves, hold a lock during the call or let everybody try at once when half open;
this one is a pure step from state to state, with the time as an argument, and lets exactly one try.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

FAILURES = 5
RECOVERY = timedelta(seconds=30)


class Circuit(StrEnum):
    CLOSED = "closed"  # calls pass
    OPEN = "open"  # nobody asks
    HALF_OPEN = "half-open"  # one asks, the others wait for what comes of it


@dataclass(frozen=True)
class Limits:
    """After `failures` in a row it opens; after `recovery` one may try. A trial unheard of for `recovery` is given up."""

    failures: int = FAILURES
    recovery: timedelta = RECOVERY

    def __post_init__(self) -> None:
        if self.failures < 1 or self.recovery <= timedelta(0):
            raise ValueError("a circuit breaker wants at least 1 failure and a recovery time above zero")


@dataclass(frozen=True)
class State:
    """`since`: when it opened, or when the trial under way began."""

    circuit: Circuit = Circuit.CLOSED
    failures: int = 0
    since: datetime | None = None


def ask(state: State, limits: Limits, now: datetime) -> tuple[bool, State]:
    """May a call be made now, and the state after the asking. Half open, the first who asks gets the one trial."""
    if state.circuit is Circuit.CLOSED:
        return True, state
    if state.since is not None and now - state.since < limits.recovery:
        return False, state
    return True, replace(state, circuit=Circuit.HALF_OPEN, since=now)


def succeeded(state: State) -> State:
    """The state after a call that worked. A late success of a call made before the opening does not close it."""
    return state if state.circuit is Circuit.OPEN else State()


def failed(state: State, limits: Limits, now: datetime) -> State:
    """The state after a call that failed. Open, a late failure changes nothing: the recovery is not pushed out."""
    if state.circuit is Circuit.OPEN:
        return state
    count = state.failures + 1
    if state.circuit is Circuit.HALF_OPEN or count >= limits.failures:
        return State(Circuit.OPEN, count, now)
    return replace(state, failures=count)


class CircuitOpen(Exception):
    """The call was not made: what it needs has failed too often. `opens_at`: when one may try again."""

    def __init__(self, name: str, opens_at: datetime | None) -> None:
        self.name, self.opens_at = name, opens_at
        when = f"; it is tried again from {opens_at:%H:%M:%S} UTC on" if opens_at else ""
        super().__init__(f"{name} failed too often and is not asked now{when}")


def utc_now() -> datetime:
    return datetime.now(UTC)


class CircuitBreaker:
    """One breaker for one thing that can fail. Threads and tasks may share it. Times are UTC-aware; unsaid, `clock` says them."""

    def __init__(
        self,
        name: str,
        failures: int = FAILURES,
        recovery: timedelta = RECOVERY,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.name = name
        self.limits = Limits(failures, recovery)
        self._clock = clock
        self._turn = threading.Lock()
        self._state = State()

    @property
    def state(self) -> State:
        return self._state

    @property
    def opens_at(self) -> datetime | None:
        """When one may try again; None while calls pass."""
        since = self._state.since
        return None if since is None else since + self.limits.recovery

    def allow(self, now: datetime | None = None) -> bool:
        """May a call be made? Whoever is told yes says afterwards how it went, with `success` or `failure`."""
        with self._turn:
            allowed, self._state = ask(self._state, self.limits, now or self._clock())
        return allowed

    def success(self, now: datetime | None = None) -> None:  # noqa: ARG002 - one shape for both outcomes
        with self._turn:
            self._state = succeeded(self._state)

    def failure(self, now: datetime | None = None) -> None:
        with self._turn:
            self._state = failed(self._state, self.limits, now or self._clock())

    def abandoned(self, now: datetime | None = None) -> None:
        """A call was given up before it showed anything: an unfinished trial proves nothing, so the circuit stays open."""
        with self._turn:
            if self._state.circuit is Circuit.HALF_OPEN:
                self._state = failed(self._state, self.limits, now or self._clock())

    def check(self, now: datetime | None = None) -> None:
        """Like `allow`, but raises `CircuitOpen` instead of saying no."""
        if not self.allow(now):
            raise CircuitOpen(self.name, self.opens_at)
