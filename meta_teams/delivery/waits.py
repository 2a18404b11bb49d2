"""Which thread waits for which change, beside the checkpoints, so that a nudge finds it."""

from __future__ import annotations

import aiosqlite


class Waits:
    """One row a waiting thread. Writing it again changes nothing."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def prepare(self) -> None:
        await self._connection.execute(
            "CREATE TABLE IF NOT EXISTS waits (change INTEGER NOT NULL, thread TEXT NOT NULL, PRIMARY KEY (change, thread))"
        )
        await self._connection.commit()

    async def add(self, change: int, thread: str) -> None:
        await self._connection.execute("INSERT OR IGNORE INTO waits (change, thread) VALUES (?, ?)", (change, thread))
        await self._connection.commit()

    async def threads(self, change: int) -> list[str]:
        """The threads that wait or waited for the change."""
        found = await self._connection.execute_fetchall(
            "SELECT thread FROM waits WHERE change = ? ORDER BY thread", (change,)
        )
        return [str(row[0]) for row in found]

    async def done(self, thread: str) -> None:
        await self._connection.execute("DELETE FROM waits WHERE thread = ?", (thread,))
        await self._connection.commit()
