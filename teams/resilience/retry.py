"""`@with_retry`: tries again, on tenacity. Time and chance are arguments, so that a test of an hour's waiting takes no time."""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, cast

from tenacity import AsyncRetrying, Retrying, retry_if_exception, stop_after_attempt

from teams.resilience.breaker import CircuitOpen
from teams.resilience.waits import BASE_S, MOST_S, Chance, Policy, wait_adaptive, wait_jittered, waiting

P = ParamSpec("P")
R = TypeVar("R")

#: What may pass by itself. A wrong argument or a refusal stays wrong however often it is tried.
PASSING: tuple[type[Exception], ...] = (ConnectionError, TimeoutError)
ATTEMPTS = 3


def with_retry(
    policy: Policy = "exponential",
    *,
    attempts: int = ATTEMPTS,
    jitter: bool = True,
    on: type[Exception] | tuple[type[Exception], ...] = PASSING,
    base: float = BASE_S,
    most: float = MOST_S,
    sleep: Callable[[float], None] = time.sleep,
    async_sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    chance: Chance | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Calls the function up to `attempts` times while it raises one of `on`; the last error comes out as it is.

    `base` and `most` are seconds. Only for what may be done twice: reading, or an act with an idempotency key. A circuit that is
    open is not knocked at again, whatever `on` says.
    """
    if attempts < 1:
        raise ValueError("with_retry needs at least 1 attempt")
    pace = waiting(policy, base, most)
    wait = wait_jittered(pace, chance or random.SystemRandom()) if jitter else pace
    stop = stop_after_attempt(attempts)

    def passing(error: BaseException) -> bool:
        return isinstance(error, on) and not isinstance(error, CircuitOpen)

    again_if = retry_if_exception(passing)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.iscoroutinefunction(function):
            ask = cast("Callable[P, Awaitable[Any]]", function)

            @functools.wraps(function)
            async def again(*args: P.args, **kwargs: P.kwargs) -> Any:
                answer = await AsyncRetrying(async_sleep, stop, wait, again_if, reraise=True)(ask, *args, **kwargs)
                _praise(pace)
                return answer

            return cast("Callable[P, R]", again)

        @functools.wraps(function)
        def again_now(*args: P.args, **kwargs: P.kwargs) -> R:
            answer = Retrying(sleep, stop, wait, again_if, reraise=True)(function, *args, **kwargs)
            _praise(pace)
            return answer

        return again_now

    return decorate


def _praise(pace: object) -> None:
    if isinstance(pace, wait_adaptive):
        pace.went_well()
