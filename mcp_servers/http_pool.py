"""Connections that are kept open between requests, for as long as servers usually keep them; so many at a time, and no more."""

from __future__ import annotations

import asyncio
import time
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
        self._room = asyncio.Semaphore(MOST)
        self._room_at: dict[Place, asyncio.Semaphore] = {}
        #: The latest last, with the time since which it is idle.
        self._idle: dict[Place, list[tuple[HttpConnection, float]]] = {}
        self._taken: set[HttpConnection] = set()

    async def take(self, place: Place) -> HttpConnection:
        """A connection for one request; given back in any case. Raises as `connect` does."""
        room_at = self._room_at.setdefault(place, asyncio.Semaphore(MOST_TO_ONE))
        await room_at.acquire()
        try:
            await self._room.acquire()
            try:
                connection = self._kept(place) or await self._connect(place)
            except BaseException:
                self._room.release()
                raise
        except BaseException:
            room_at.release()
            raise
        self._taken.add(connection)
        return connection

    def give_back(self, place: Place, connection: HttpConnection) -> None:
        """Kept if its answer was read to its end, else closed."""
        self._room.release()
        self._room_at[place].release()
        if connection in self._taken and connection.reusable:
            self._idle.setdefault(place, []).append((connection, time.monotonic()))
        else:
            connection.close()
        self._taken.discard(connection)

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
