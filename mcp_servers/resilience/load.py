"""Sheds load: refuses new work while there is too much, so that what is under way gets done."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from mcp_servers.resilience.answers import AnswerLaw, Failure, Situation, answer_to


class Overloaded(Exception):
    """Refused for load, before anything was done. `opens_at`: when to come again."""

    def __init__(self, why: str, opens_at: datetime) -> None:
        super().__init__(f"{why}. Come again a little later; nothing was done or charged.")
        self.opens_at = opens_at


class LoadGate:
    """Knows what is under way, each until a time after which it is forgotten: what never reports back blocks nobody for ever.

    `most`: how much may be under way at once, None for any. Threads may share it.
    """

    def __init__(
        self,
        most: int | None = None,
        come_again: timedelta = timedelta(seconds=5),
    ) -> None:
        self.most, self.come_again = most, come_again
        #: Why nothing new is taken on, said by whoever watches the machine; None: all is well.
        self.pressed: str | None = None
        self.refused = 0
        self._under_way: dict[str, datetime] = {}
        self._most, self._come_again = most, come_again
        self._turn = threading.Lock()

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    def check(self, now: datetime) -> None:
        """Raises `Overloaded` while nothing new is taken on."""
        if (why := self.why_not(now)) is None:
            return
        situation, law = Situation(retry_after=self.come_again), AnswerLaw(longest_wait=self.come_again)
        wait = answer_to(Failure.OVERLOAD, situation, law).wait
        with self._turn:
            self.refused += 1
        raise Overloaded(why, now + wait)

    def began(self, key: str, until: datetime) -> None:
        """Something was taken on; unless it `ended` before, it counts until then."""
        with self._turn:
            self._under_way[key] = until

    def ended(self, key: str) -> None:
        with self._turn:
            self._under_way.pop(key, None)

    def why_not(self, now: datetime) -> str | None:
        """Why nothing new is taken on now; None: it is."""
        if self.pressed is not None:
            return self.pressed
        most = self.most
        if most is None or len(self._under_way) < most:
            return None
        with self._turn:
            for key in [key for key, until in self._under_way.items() if until <= now]:
                del self._under_way[key]
            count = len(self._under_way)
        return f"{count} model calls are under way already, and {most} may be" if count >= most else None
