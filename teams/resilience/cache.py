"""`@with_cache`: the last answer again, for a while. In memory, bounded; for what is read, not for what is done."""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


class _Kept:
    """Answers by their arguments, the longest unused going first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._turn = threading.Lock()

    def get(self, key: Hashable, youngest: float) -> tuple[Any] | None:
        with self._turn:
            found = self._kept.get(key)
            if found is None or found[0] < youngest:
                return None
            self._kept.move_to_end(key)
            return (found[1],)

    def put(self, key: Hashable, at: float, answer: object) -> None:
        with self._turn:
            self._kept[key] = (at, answer)
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)


def with_cache(
    seconds: float,
    *,
    most: int = 256,
    stale_seconds: float = 0.0,
    on: type[Exception] | tuple[type[Exception], ...] = Exception,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Gives an answer of at most `seconds` of age again for the same (hashable) arguments; keeps at most `most` of them.

    When asking anew fails with one of `on`, an answer of at most `stale_seconds` is given instead, if there is one. Errors are not
    kept. Whoever may see what must be among the arguments: callers with equal arguments share an answer.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        kept = _Kept(most)

        def key_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
            return (args, tuple(sorted(kwargs.items())))

        def old(key: Hashable) -> tuple[Any] | None:
            return kept.get(key, clock() - stale_seconds) if stale_seconds else None

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def cached(*args: P.args, **kwargs: P.kwargs) -> Any:
                key = key_of(args, kwargs)
                if (found := kept.get(key, clock() - seconds)) is not None:
                    return found[0]
                try:
                    answer = await cast("Awaitable[Any]", function(*args, **kwargs))
                except on:
                    if (found := old(key)) is not None:
                        return found[0]
                    raise
                kept.put(key, clock(), answer)
                return answer

            return cast("Callable[P, R]", cached)

        @functools.wraps(function)
        def cached_now(*args: P.args, **kwargs: P.kwargs) -> R:
            key = key_of(args, kwargs)
            if (found := kept.get(key, clock() - seconds)) is not None:
                return cast("R", found[0])
            try:
                answer = function(*args, **kwargs)
            except on:
                if (found := old(key)) is not None:
                    return cast("R", found[0])
                raise
            kept.put(key, clock(), answer)
            return answer

        return cached_now

    return decorate
