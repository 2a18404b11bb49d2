"""Pages that go on: new lines as they come, figures as they change. Ctrl-C ends them, and that is no failure."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
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


def watch(console: Console, fetch: Callable[[], Any], page: Callable[[Any], RenderableType]) -> None:
    """One page that stays where it is and is drawn again each second, until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt), Live(page(fetch()), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(WATCH_S)
            live.update(page(fetch()), refresh=True)
