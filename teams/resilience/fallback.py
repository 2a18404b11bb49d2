"""`@with_fallback`: another way to an answer when the first one fails."""

from __future__ import annotations

import functools
import inspect
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)


def with_fallback(
    *others: Callable[..., Any], on: type[Exception] | tuple[type[Exception], ...] = Exception
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Asks the function, then each of `others` in turn with the same arguments, until one answers.

    All failed: the last error comes out, caused by the one before. Each turn is logged, so that what stands in never does so
    unseen. An async function may fall back on plain ones too; a plain one only on plain ones.
    """
    if not others:
        raise ValueError("with_fallback needs something to fall back on")

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        ways = (function, *others)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def asking(*args: P.args, **kwargs: P.kwargs) -> Any:
                for way, next_way in zip(ways, (*ways[1:], None), strict=True):
                    try:
                        answer = way(*args, **kwargs)
                        return await cast("Awaitable[Any]", answer) if inspect.isawaitable(answer) else answer
                    except on as error:
                        if next_way is None:
                            raise
                        _turned(way, next_way, error)
                return None

            return cast("Callable[P, R]", asking)
        if any(inspect.iscoroutinefunction(other) for other in others):
            raise TypeError(f"{_name(function)} is not async and cannot fall back on an async function")

        @functools.wraps(function)
        def asking_now(*args: P.args, **kwargs: P.kwargs) -> R:
            for way, next_way in itertools.pairwise(ways):
                try:
                    return way(*args, **kwargs)
                except on as error:
                    _turned(way, next_way, error)
            return ways[-1](*args, **kwargs)

        return asking_now

    return decorate


def _turned(way: Callable[..., Any], next_way: Callable[..., Any], error: Exception) -> None:
    log.warning("%s failed (%s); %s stands in", _name(way), type(error).__name__, _name(next_way))


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__name__)
