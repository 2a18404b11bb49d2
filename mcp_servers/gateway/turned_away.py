"""Requests that the guard turned away before anybody was asked who they are: in the ledger, and unable to fill it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from anyio import to_thread

from mcp_servers.gateway.refused_rows import RefusedRows
from memory import ledger
from memory.session import Database, Unwritable

log = logging.getLogger(__name__)


class TurnedAway:
    """Told each reason, which is one of the guard's own sentences. `refused_rows` are the door's: one measure for all refusals."""

    def __init__(self, database: Database, clock: Callable[[], datetime], refused_rows: RefusedRows) -> None:
        self._database, self._clock, self._refused_rows = database, clock, refused_rows

    async def __call__(self, reason: str) -> None:
        entry = ledger.Entry("unknown", "request", "gateway", "refused", self._clock(), {"why": reason})
        rows = self._refused_rows.rows_for(entry)
        if not rows:
            return
        try:
            await to_thread.run_sync(self._write, rows)
        except Unwritable as error:
            # It is refused all the same; nothing passes that should have been written.
            log.warning("a request that was turned away could not be written down: %s", error)

    def _write(self, rows: Sequence[ledger.Entry]) -> None:
        with self._database.begin() as session:
            for row in rows:
                ledger.append(session, row)
