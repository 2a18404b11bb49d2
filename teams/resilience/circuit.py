"""`@with_circuit_breaker`: stops asking what has failed too often."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast

from teams.resilience.breaker import CircuitBreaker

P = ParamSpec("P")
R = TypeVar("R")


def with_circuit_breaker(
    breaker: CircuitBreaker | None = None, *, on: type[Exception] | tuple[type[Exception], ...] = Exception
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Counts errors of the kinds `on`; while the circuit is open, raises `CircuitOpen` at once instead of calling.

    Functions given the same `breaker` share its state. Without one, the function has its own with the usual limits. Other errors
    (a wrong argument) show that the thing answers and count as that; a cancelled call says nothing, and counts as a failure only
    of a trial.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        own = breaker or CircuitBreaker(getattr(function, "__qualname__", "a call"))
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
                with through(own, on):
                    return await cast("Awaitable[Any]", function(*args, **kwargs))

            return cast("Callable[P, R]", guarded)

        @functools.wraps(function)
        def guarded_now(*args: P.args, **kwargs: P.kwargs) -> R:
            with through(own, on):
                return function(*args, **kwargs)

        return guarded_now

    return decorate


@contextmanager
def through(breaker: CircuitBreaker, on: type[Exception] | tuple[type[Exception], ...] = Exception) -> Generator[None]:
    """A block of code behind the breaker. Raises `CircuitOpen` instead of running it."""
    breaker.check()
    try:
        yield
    except on:
        breaker.failure()
        raise
    except Exception:
        breaker.success()
        raise
    except BaseException:
        breaker.abandoned()
        raise
    breaker.success()
