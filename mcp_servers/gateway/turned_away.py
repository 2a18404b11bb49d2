"""Requests that the guard turned away before anybody was asked who they are: in the ledger, and unable to fill it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from anyio import to_thread

from memory import ledger
from memory.session import Database, Unwritable

#: At most one row for each reason in this time; it carries the count of those before it.
ROW_EVERY = timedelta(minutes=1)

log = logging.getLogger(__name__)


class TurnedAway:
    """Told each reason, which is one of the guard's own sentences. Used by one thread: the event loop's."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock
        self._times: dict[str, int] = {}
        self._written: dict[str, datetime] = {}

    async def __call__(self, reason: str) -> None:
        now, last = self._clock(), self._written.get(reason)
        self._times[reason] = self._times.get(reason, 0) + 1
        if last is not None and now - last < ROW_EVERY:
            return
        self._written[reason], detail = now, {"why": reason, "times": self._times.pop(reason)}
        try:
            await to_thread.run_sync(self._write, now, detail)
        except Unwritable as error:
            # It is refused all the same; nothing passes that should have been written.
            log.warning("a request that was turned away could not be written down: %s", error)

    def _write(self, now: datetime, detail: dict[str, str | int]) -> None:
        with self._database.begin() as session:
            ledger.append(session, ledger.Entry("unknown", "request", "gateway", "refused", now, detail))
