"""How many seconds to wait before the next try: exponential, linear, fixed, Fibonacci, adaptive."""

from __future__ import annotations

import threading
from typing import Literal, Protocol

from tenacity import RetryCallState, wait_exponential, wait_fixed, wait_incrementing
from tenacity.wait import wait_base

Policy = Literal["exponential", "linear", "fixed", "fibonacci", "adaptive"]
BASE_S, MOST_S = 0.5, 30.0
#: The share of a wait that chance decides: between half and all of it. Many who failed together do not come back together.
JITTER = 0.5
_SHORTEST = 1 / 64


class Chance(Protocol):
    """`random.Random`, or a test's own."""

    def random(self) -> float: ...


class wait_fibonacci(wait_base):
    """1, 1, 2, 3, 5, 8… times `base`, at most `most`."""

    def __init__(self, base: float, most: float) -> None:
        self.base, self.most = base, most

    def __call__(self, retry_state: RetryCallState) -> float:
        one, other = 1, 1
        for _ in range(retry_state.attempt_number - 1):
            if one * self.base >= self.most:
                break
            one, other = other, one + other
        return min(self.most, one * self.base)


class wait_adaptive(wait_base):
    """Waits as long as the thing called has lately needed, and as long as it asked for.

    Each failure doubles what is waited, each success takes a quarter off; all calls of one decorated function share it. An error
    that says `retry_after` (seconds) is believed, up to `most`.
    """

    def __init__(self, base: float, most: float) -> None:
        self.base, self.most = base, most
        self.pace = base
        self._turn = threading.Lock()

    def __call__(self, retry_state: RetryCallState) -> float:
        with self._turn:
            now, self.pace = self.pace, min(self.most, self.pace * 2)
        return max(now, asked_wait(_error_of(retry_state), self.most))

    def went_well(self) -> None:
        with self._turn:
            self.pace = max(self.base * _SHORTEST, self.pace * 0.75)


class wait_jittered(wait_base):
    """A part of another wait is left to chance; never longer than that."""

    def __init__(self, inner: wait_base, chance: Chance) -> None:
        self.inner, self.chance = inner, chance

    def __call__(self, retry_state: RetryCallState) -> float:
        whole = self.inner(retry_state)
        return whole * (1 - JITTER * self.chance.random())


def waiting(policy: Policy, base: float = BASE_S, most: float = MOST_S) -> wait_base:
    """The wait of a policy by its name; `ValueError` for one that is not there."""
    if base < 0 or most < base:
        raise ValueError("waits are at least 0 seconds, and the longest is not shorter than the first")
    match policy:
        case "exponential":
            return wait_exponential(multiplier=base, max=most)
        case "linear":
            return wait_incrementing(start=base, increment=base, max=most)
        case "fixed":
            return wait_fixed(base)
        case "fibonacci":
            return wait_fibonacci(base, most)
        case "adaptive":
            return wait_adaptive(base, most)
    raise ValueError(f"there is no retry policy {policy!r}; choose exponential, linear, fixed, fibonacci or adaptive")


def asked_wait(error: BaseException | None, most: float) -> float:
    """The seconds an error asks to wait (`retry_after`), within bounds; 0 where it asks for nothing that can be believed."""
    asked = getattr(error, "retry_after", None)
    if isinstance(asked, bool) or not isinstance(asked, int | float) or not 0 < asked < float("inf"):
        return 0.0
    return min(float(asked), most)


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None
