"""Pages that go on: new lines as they come, figures as they change. Ctrl-C ends them, and that is no failure."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

POLL_S = 0.5
WATCH_S = 1.0


def follow(fetch: Callable[[], Sequence[Any]], show: Callable[[Sequence[Any]], None]) -> None:
    """Shows what is there, then whatever `fetch` has beyond it, until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        seen: Sequence[Any] = []
        while True:
            found = fetch()
            if fresh := news(seen, found):
                show(fresh)
            seen = found
            time.sleep(POLL_S)


def news(seen: Sequence[Any], found: Sequence[Any]) -> Sequence[Any]:
    """What stands in `found` after the last of `seen`; both are ends of one growing list, oldest first."""
    if not seen:
        return found
    for at in range(len(found) - 1, -1, -1):
        if found[at] == seen[-1]:
            return found[at + 1 :]
    return found


class Moved:
    """Follows what moves on after it is first seen, such as messages: each is shown when it comes and when its state changes.

    `fetch` takes the time from which on it asks (None at first); `at` and `answered_at` are ISO times of the company's own clock.
    """

    #: Two that were written at almost the same time may be seen in the other order.
    LAG = timedelta(seconds=30)

    def __init__(self) -> None:
        self.since: str | None = None
        self._first: datetime | None = None
        self._newest = datetime.min.replace(tzinfo=UTC)
        self._seen: dict[str, str] = {}

    def take(self, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that are new or have moved, in order; forgets what is not asked for again."""
        if not found:
            return []
        sent = {one["id"]: datetime.fromisoformat(one["at"]) for one in found}
        if self._first is None:
            self._first = min(sent.values())
        fresh = [one for one in found if self._is_fresh(one, within=sent[one["id"]] >= self._first)]
        self._seen = {one["id"]: one["state"] for one in found}
        answered = [datetime.fromisoformat(one["answered_at"]) for one in found if one["answered_at"]]
        self._newest = max(self._newest, *sent.values(), *answered)
        self.since = (self._newest - self.LAG).isoformat()
        return fresh

    def _is_fresh(self, one: dict[str, Any], *, within: bool) -> bool:
        """New among those that were asked for, or moved since it was seen."""
        known = self._seen.get(one["id"])
        return within if known is None else known != one["state"]


def follow_moves(
    fetch: Callable[[str | None], Sequence[dict[str, Any]]], show: Callable[[Sequence[Any]], None]
) -> None:
    """Shows what is there, then whatever comes or changes, until Ctrl-C."""
    moved = Moved()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            if fresh := moved.take(fetch(moved.since)):
                show(fresh)
            time.sleep(POLL_S)


def watch(console: Console, fetch: Callable[[], Any], page: Callable[[Any], RenderableType]) -> None:
    """One page that stays where it is and is drawn again each second, until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt), Live(page(fetch()), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(WATCH_S)
            live.update(page(fetch()), refresh=True)
