"""`@with_cost_tracking`: what each call of a function took and cost, told to whoever keeps the books."""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class CallCost:
    """One call. `usd_micro` is micro-dollars; `outcome` is `ok` or the error's type; `priced` is False where the price is not known."""

    name: str
    seconds: float
    usd_micro: int
    outcome: str
    priced: bool = True


class Books(Protocol):
    """Takes down one call. Called in the thread or task of the call; must be quick and not raise."""

    def __call__(self, cost: CallCost) -> None: ...


@dataclass
class Sum:
    """All calls of one name. `unpriced`: how many of them had no price that is known."""

    calls: int = 0
    failed: int = 0
    seconds: float = 0.0
    usd_micro: int = 0
    unpriced: int = 0


class Tally:
    """Books in memory: sums by name. Threads may share it."""

    def __init__(self) -> None:
        self._sums: dict[str, Sum] = {}
        self._turn = threading.Lock()

    def __call__(self, cost: CallCost) -> None:
        with self._turn:
            one = self._sums.setdefault(cost.name, Sum())
            one.calls += 1
            one.failed += cost.outcome != "ok"
            one.seconds += cost.seconds
            one.usd_micro += cost.usd_micro
            one.unpriced += not cost.priced

    def sums(self) -> dict[str, Sum]:
        with self._turn:
            return {name: Sum(**vars(one)) for name, one in self._sums.items()}


def with_cost_tracking(
    books: Books,
    *,
    usd_micro: int | Callable[[Any], int | None] = 0,
    name: str = "",
    clock: Callable[[], float] = time.perf_counter,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Tells `books` of every call, also of one that fails.

    `usd_micro` is what a call costs in micro-dollars, or a function that reads it from the answer (None: not known). A price that
    is no whole number from 0 on counts as not known, never as free. A failed call counts the fixed price: it may have been charged.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        called = name or getattr(function, "__qualname__", "call")

        def done(began: float, outcome: str, answer: object = None) -> None:
            price = usd_micro
            if callable(price):
                price = _read(price, answer) if outcome == "ok" else None
            known = isinstance(price, int) and not isinstance(price, bool) and price >= 0
            books(CallCost(called, clock() - began, price if known and price else 0, outcome, known))

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def counted(*args: P.args, **kwargs: P.kwargs) -> Any:
                began = clock()
                try:
                    answer = await cast("Awaitable[Any]", function(*args, **kwargs))
                except BaseException as error:
                    done(began, type(error).__name__)
                    raise
                done(began, "ok", answer)
                return answer

            return cast("Callable[P, R]", counted)

        @functools.wraps(function)
        def counted_now(*args: P.args, **kwargs: P.kwargs) -> R:
            began = clock()
            try:
                answer = function(*args, **kwargs)
            except BaseException as error:
                done(began, type(error).__name__)
                raise
            done(began, "ok", answer)
            return answer

        return counted_now

    return decorate


def _read(price_of: Callable[[Any], int | None], answer: object) -> int | None:
    """What the answer says of its price; one that cannot be read is not known."""
    try:
        return price_of(answer)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None
