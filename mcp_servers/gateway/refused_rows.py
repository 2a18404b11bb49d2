"""How many rows refusals may make: each its own at first, then one that counts them, so that no caller can fill the ledger.

A caller has twenty rows of a kind at once and gets one back every five minutes. The last of them says that what follows is counted;
what follows is told in one row a minute, with how many there were and why. So whoever is refused without end makes at most 24 rows in
the first minute and about 1,700 a day, however fast it asks. A killed process loses the count of its last minute, and no decision: that
all of it is refused stood in the row before.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from memory.ledger import Entry

#: Rows of their own that a caller's refusals of one kind have at once, and how long it takes until there is one more.
OWN_ROWS, BACK_EVERY = 20, timedelta(minutes=5)
#: How often those that have none are told of in one row.
COUNTED_EVERY = timedelta(minutes=1)
#: How long after the last counted refusal a caller still stands out.
STANDS_OUT = timedelta(minutes=5)
#: Different reasons that one row tells apart, and how much of each.
_MOST_REASONS, _REASON_LENGTH = 8, 200


@dataclass(frozen=True)
class Hammering:
    """Somebody who is refused over and over: how often since when, without a row each, and the commonest reason."""

    times: int
    since: datetime
    why: str


@dataclass
class _Caller:
    """One caller's refusals of one kind. `used` are own rows taken and not yet given back."""

    used: int
    back_at: datetime
    since: datetime | None = None
    last: datetime | None = None
    first: datetime | None = None
    total: int = 0
    reasons: Counter[str] = field(default_factory=Counter[str])


class RefusedRows:
    """Which rows a refusal makes. Threads may share it."""

    def __init__(self) -> None:
        self._callers: dict[tuple[str, str], _Caller] = {}
        self._turn = threading.Lock()

    def rows_for(self, refused: Entry) -> list[Entry]:
        """The rows to append now: the refusal's own, what was counted before it, both or none."""
        key, now = (refused.actor, refused.action), refused.at
        with self._turn:
            caller = self._callers.setdefault(key, _Caller(0, now))
            rows = self._counted(key, caller, now, at_once=False)
            self._give_back(caller, now)
            if caller.since is None and caller.used < OWN_ROWS:
                if caller.used == 0:
                    caller.back_at = now + BACK_EVERY
                caller.used += 1
                last = {"from_here": "refusals are counted, a row a minute"} if caller.used == OWN_ROWS else {}
                return [*rows, replace(refused, detail={**refused.detail, **last})]
            self._count(caller, refused)
            return rows

    def due(self, now: datetime, *, at_once: bool = False) -> list[Entry]:
        """What was counted and has no row yet: of those whose minute is over, or of all `at_once`. Quiet callers are forgotten."""
        with self._turn:
            rows = [row for key, caller in self._callers.items() for row in self._counted(key, caller, now, at_once)]
            for key, caller in list(self._callers.items()):
                self._give_back(caller, now)
                if not caller.used and caller.since is None and not _stands_out(caller, now):
                    del self._callers[key]
            return rows

    def hammering(self, now: datetime) -> Mapping[str, Hammering]:
        """Who is refused beyond its own rows, now or a moment ago: by the caller's address."""
        found: dict[str, Hammering] = {}
        with self._turn:
            for (actor, _), caller in self._callers.items():
                if caller.first is None or not _stands_out(caller, now):
                    continue
                one = Hammering(caller.total, caller.first, caller.reasons.most_common(1)[0][0])
                before = found.get(actor)
                if before is None or before.times < one.times:
                    found[actor] = one
        return found

    def _count(self, caller: _Caller, refused: Entry) -> None:
        now, why = refused.at, f"{refused.subject}: {refused.detail.get('why', 'refused')}"[:_REASON_LENGTH]
        if caller.since is None:
            caller.since = now
            caller.reasons.clear()
        if not _stands_out(caller, now):
            caller.first, caller.total = now, 0
        caller.last = now
        caller.total += 1
        caller.reasons[why if why in caller.reasons or len(caller.reasons) < _MOST_REASONS else "other reasons"] += 1

    def _counted(self, key: tuple[str, str], caller: _Caller, now: datetime, at_once: bool) -> list[Entry]:
        if caller.since is None or (now - caller.since < COUNTED_EVERY and not at_once):
            return []
        detail = {"more": caller.reasons.total(), "since": caller.since.isoformat(), "why": dict(caller.reasons)}
        caller.since = None
        return [Entry(key[0], key[1], "several", "refused", now, detail)]

    def _give_back(self, caller: _Caller, now: datetime) -> None:
        while caller.used and caller.back_at <= now:
            caller.used, caller.back_at = caller.used - 1, caller.back_at + BACK_EVERY


def _stands_out(caller: _Caller, now: datetime) -> bool:
    return caller.last is not None and now - caller.last < STANDS_OUT
