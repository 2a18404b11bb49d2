"""How often a member calls a tool: a rolling window of 60 seconds, in memory. A restart reads it again from the ledger (see `recalled`)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mcp_servers.gateway.refusals import Refused

WINDOW = timedelta(seconds=60)
#: Callers and tools remembered at most; the ones that were quiet longest are forgotten first.
_MOST_KEYS = 20_000


@dataclass
class Rates:
    """Takes a place for each call, or refuses it with the time at which there is one. One call at a time."""

    _taken: dict[tuple[str, str], deque[datetime]] = field(default_factory=dict[tuple[str, str], deque[datetime]])

    def take(self, who: str, tool: str, per_minute: int | None, now: datetime) -> None:
        """Raises `Refused` (rate_limited). A clock that was turned back gives no second helping: later times still count."""
        if per_minute is None:
            return
        if per_minute == 0:
            raise Refused(
                "not_allowed", f"policies/access.yaml or the server allows {who} no calls of {tool} (0 a minute)."
            )
        taken = self._window(who, tool)
        while taken and taken[0] <= now - WINDOW:
            taken.popleft()
        if (opens := _opens_at(taken, per_minute)) is not None:
            raise Refused(
                "rate_limited",
                f"{who} called {tool} {len(taken)} times in a minute; {per_minute} are allowed. "
                f"It opens again at {opens.isoformat(timespec='seconds')}.",
                opens,
            )
        taken.append(now)

    def opens_at(self, who: str, tool: str, per_minute: int) -> datetime | None:
        """When there is a place again, as far as is known now; None: there is one, or never will be."""
        return _opens_at(self._taken.get((who, tool), deque[datetime]()), per_minute)

    def recall(self, who: str, tool: str, at: datetime) -> None:
        """A call that an earlier process let through. In the order of time, oldest first."""
        self._window(who, tool).append(at)

    def _window(self, who: str, tool: str) -> deque[datetime]:
        key = (who, tool)
        found = self._taken.pop(key, None)
        self._taken[key] = found if found is not None else deque[datetime]()
        if len(self._taken) > _MOST_KEYS:
            self._taken.pop(next(iter(self._taken)))
        return self._taken[key]


def _opens_at(taken: deque[datetime], per_minute: int) -> datetime | None:
    return taken[len(taken) - per_minute] + WINDOW if 0 < per_minute <= len(taken) else None
