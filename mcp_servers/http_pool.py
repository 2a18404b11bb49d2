"""Connections that are kept open between requests, for as long as servers usually keep them; so many at a time, and no more."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable

from mcp_servers.http_connection import HttpConnection
from mcp_servers.http_request import Place

#: How many at a time, in all and to one place. Who comes later waits.
MOST, MOST_TO_ONE = 64, 16
#: An idle one older than this may be on its way to being closed by the server.
IDLE_SECONDS = 15.0

Connect = Callable[[Place], Awaitable[HttpConnection]]


class HttpPool:
    """For one event loop. `connect` makes a new connection."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        #: The latest last, with the time since which it is idle.
        self._idle: dict[Place, list[tuple[HttpConnection, float]]] = {}
        self._taken: set[HttpConnection] = set()
        #: How many are in use or being made, by place and in all; and who waits for one, in the order in which they came.
        self._in_use: Counter[Place] = Counter()
        self._all_in_use = 0
        self._waiting: deque[tuple[Place, asyncio.Future[None]]] = deque()

    async def take(self, place: Place) -> HttpConnection:
        """A connection for one request; given back in any case. Raises as `connect` does."""
        await self._room(place)
        try:
            connection = self._kept(place) or await self._connect(place)
        except BaseException:
            self._leave(place)
            raise
        self._taken.add(connection)
        return connection

    def give_back(self, place: Place, connection: HttpConnection) -> None:
        """Kept if its answer was read to its end, else closed."""
        if connection in self._taken and connection.reusable:
            self._idle.setdefault(place, []).append((connection, time.monotonic()))
        else:
            connection.close()
        self._taken.discard(connection)
        self._leave(place)

    async def _room(self, place: Place) -> None:
        """Waits for a place among those in use, and takes it."""
        if self._has_room(place):
            self._enter(place)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((place, turn))
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                # Its turn had come already: it is the next one's.
                self._leave(place)
            raise

    def _has_room(self, place: Place) -> bool:
        return self._all_in_use < MOST and self._in_use[place] < MOST_TO_ONE

    def _enter(self, place: Place) -> None:
        self._in_use[place] += 1
        self._all_in_use += 1

    def _leave(self, place: Place) -> None:
        self._in_use[place] -= 1
        self._all_in_use -= 1
        for waiting in list(self._waiting):
            wanted, turn = waiting
            if turn.done():
                self._waiting.remove(waiting)
            elif self._has_room(wanted):
                self._waiting.remove(waiting)
                self._enter(wanted)
                turn.set_result(None)

    def close(self) -> None:
        """Closes all, also those in use."""
        idle = [connection for kept in self._idle.values() for connection, _ in kept]
        for connection in (*idle, *self._taken):
            connection.close()
        self._idle.clear()
        self._taken.clear()

    def _kept(self, place: Place) -> HttpConnection | None:
        """The one that was used last, if its server still holds it; the others that are too old are closed."""
        kept, oldest = self._idle.get(place, []), time.monotonic() - IDLE_SECONDS
        while kept and (kept[0][1] < oldest or not kept[0][0].reusable):
            kept.pop(0)[0].close()
        while kept:
            connection, _ = kept.pop()
            if connection.reusable:
                return connection
            connection.close()
        return None
