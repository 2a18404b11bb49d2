"""How much one account may ask, as GitHub counts it: requests an hour, and changes a minute.

What the forge of a company allows is generous; the numbers are GitHub's where a client is tried against them.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Wait:
    """Why a request is refused now, and for how many seconds."""

    seconds: int
    secondary: bool


@dataclass(frozen=True)
class Standing:
    """What is left to an account: requests this hour, which ends at `reset` (seconds since 1970)."""

    limit: int
    used: int
    reset: int

    def shape(self) -> dict[str, int]:
        return {"limit": self.limit, "remaining": self.remaining, "used": self.used, "reset": self.reset}

    def headers(self) -> dict[str, str]:
        given = {f"X-RateLimit-{name.capitalize()}": str(number) for name, number in self.shape().items()}
        return {**given, "X-RateLimit-Resource": "core"}

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)


class Limits:
    """The counts of every account, in memory. `writes_a_minute` None: no secondary limit."""

    def __init__(self, requests_an_hour: int = 1_000_000, writes_a_minute: int | None = None) -> None:
        self.requests_an_hour, self.writes_a_minute = requests_an_hour, writes_a_minute
        self._lock = threading.Lock()
        self._used: dict[str, tuple[int, int]] = {}
        self._writes: dict[str, deque[float]] = {}

    def admit(self, login: str, now: datetime, *, writes: bool) -> Wait | None:
        """None if the request may go on; a write is counted by that."""
        standing = self.standing(login, now)
        if standing.used >= standing.limit:
            return Wait(max(1, standing.reset - int(now.timestamp())), secondary=False)
        if not writes or self.writes_a_minute is None:
            return None
        with self._lock:
            recent = self._writes.setdefault(login, deque())
            while recent and recent[0] <= now.timestamp() - 60:
                recent.popleft()
            if len(recent) >= self.writes_a_minute:
                return Wait(max(1, int(recent[0] + 61 - now.timestamp())), secondary=True)
            recent.append(now.timestamp())
            return None

    def count(self, login: str, now: datetime) -> None:
        with self._lock:
            used, reset = self._current(login, now)
            self._used[login] = (used + 1, reset)

    def standing(self, login: str, now: datetime) -> Standing:
        with self._lock:
            return Standing(self.requests_an_hour, *self._current(login, now))

    def _current(self, login: str, now: datetime) -> tuple[int, int]:
        """Requests used and when the hour ends; a new hour begins with the first request after it."""
        used, reset = self._used.get(login, (0, 0))
        return (used, reset) if now.timestamp() < reset else (0, int(now.timestamp()) + 3600)
