"""What passed the gateway that a person should hear of, one cause each, for an hour after it was last seen.

In memory, like all that the gateway counts; a restart reads it again from the ledger (see `recalled`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime, timedelta

from mcp_servers.monitor.readings import Level
from memory.watching import Cause

HOUR = timedelta(hours=1)
#: Runs name themselves, so there is no end to causes but this.
MOST = 200


class Noticed:
    """Threads may share it."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[datetime, Cause]] = OrderedDict()
        self._turn = threading.Lock()

    def false_counts(self, link: str, why: str, at: datetime) -> None:
        """A provider reported tokens that cannot be true."""
        text = (
            f"{why[:1].upper()}{why[1:]}. Such calls are paid at what was held for them, and stand in the ledger as unmetered. "
            "Compare what this provider charges with ./elf costs; take it out of policies/models.yaml if it goes on."
        )
        self._note(Cause(f"counts:{link}", Level.WARNING, f"{link} reports tokens that cannot be true", text), at)

    def loop(self, whose: str, why: str, at: datetime) -> None:
        """A run, or a member without one, was stopped. `whose` names it the same way each time."""
        text = f"{why} Its calls are in the ledger: ./elf log, ./elf messages."
        self._note(Cause(f"loop:{whose}", Level.WARNING, f"{whose} went round in circles and was stopped", text), at)

    def causes(self, now: datetime) -> list[Cause]:
        """What was seen within the hour."""
        with self._turn:
            return [cause for at, cause in self._seen.values() if now - at < HOUR]

    def _note(self, cause: Cause, at: datetime) -> None:
        with self._turn:
            first = self._seen.pop(cause.key, None)
            # The words of the first time stay: one cause is told once.
            self._seen[cause.key] = (at, first[1] if first else cause)
            if len(self._seen) > MOST:
                self._seen.popitem(last=False)
