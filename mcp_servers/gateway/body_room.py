"""Room for large bodies: so many bytes of them are in memory at once, and whoever comes when it is full waits a little, outside.

A body is read only once it has room; until then it stays in the sender's socket. In the order of arrival, so a large one is not
passed by small ones for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

#: A model call holds its body about five times over: as bytes, as text, as it is written for the provider.
MOST_BYTES = 100_000_000
WAIT_S = 20.0


class BodyRoom:
    """Used by one event loop."""

    def __init__(self, most_bytes: int = MOST_BYTES, wait_seconds: float = WAIT_S) -> None:
        self._free, self._wait = most_bytes, wait_seconds
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def enter(self, size: int) -> bool:
        """True once there is room for so many bytes; whoever has it must `leave`. False: there was none in time."""
        if not self._line and size <= self._free:
            self._free -= size
            return True
        turn = asyncio.get_running_loop().create_future()
        self._line.append((size, turn))
        try:
            async with asyncio.timeout(self._wait):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # It was given in the very moment.
                self.leave(size)
            else:
                with contextlib.suppress(ValueError):
                    self._line.remove((size, turn))
                self._next()
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def leave(self, size: int) -> None:
        self._free += size
        self._next()

    def _next(self) -> None:
        while self._line and self._line[0][0] <= self._free:
            size, turn = self._line.popleft()
            if turn.cancelled():
                continue
            self._free -= size
            turn.set_result(None)
