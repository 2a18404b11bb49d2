"""Pages that go on: what is new is shown once, in order, and Ctrl-C ends them in peace."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from bootstrap import follow
from bootstrap.show_costs import costs, page


@pytest.mark.parametrize(
    ("seen", "found", "fresh"),
    [
        ([], ["a", "b"], ["a", "b"]),
        (["a", "b"], ["a", "b"], []),
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["b"], ["a", "b", "c"], ["c"]),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        (["a"], [], []),
        (["a", "a"], ["a", "a", "b", "a"], []),
    ],
)
def test_what_stands_after_the_last_line_seen_is_new(seen: list[str], found: list[str], fresh: list[str]) -> None:
    assert list(follow.news(seen, found)) == fresh


@pytest.mark.rows("F22")
def test_following_shows_each_line_once_until_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[Any] = [["a"], ["a", "b"], ["a", "b"], ["a", "b", "c"]]
    shown: list[Sequence[Any]] = []

    def fetch() -> Sequence[Any]:
        if not pages:
            raise KeyboardInterrupt
        return pages.pop(0)

    monkeypatch.setattr(follow, "POLL_S", 0)
    follow.follow(fetch, shown.append)
    assert shown == [["a"], ["b"], ["c"]]


def message(name: str, minute: int, answered: int | None = None, state: str = "under way") -> dict[str, Any]:
    def at(of: int) -> str:
        return (datetime(2026, 11, 20, 10, tzinfo=UTC) + timedelta(minutes=of)).isoformat()

    return {
        "id": name,
        "at": at(minute),
        "answered_at": None if answered is None else at(answered),
        "state": state if answered is None else "completed",
    }


def test_a_message_is_shown_when_it_comes_and_when_it_is_answered_and_not_else() -> None:
    moved = follow.Moved()
    assert moved.take([]) == [] and moved.since is None
    old, first = message("a", 0), message("b", 1)
    assert moved.take([first]) == [first]
    assert moved.since == "2026-11-20T10:00:30+00:00"
    # Older ones that were not among the last lines come along because they are under way: they are not news.
    assert moved.take([old, first]) == []
    answered = message("b", 1, 5)
    third = message("c", 5)
    assert moved.take([old, answered, third]) == [answered, third]
    assert moved.since == "2026-11-20T10:04:30+00:00"
    late = message("a", 0, state="deadline passed")
    assert moved.take([late, answered, third]) == [late], "its state has changed"
    assert moved.take([third]) == [] and moved.since == "2026-11-20T10:04:30+00:00"


@pytest.mark.rows("F22", "F23")
def test_following_messages_asks_only_for_what_moved_until_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[Any] = [[message("a", 1)], [message("a", 1, 2)], [message("a", 1, 2), message("b", 3)]]
    asked: list[str | None] = []
    shown: list[str] = []

    def fetch(since: str | None) -> Any:
        asked.append(since)
        if not pages:
            raise KeyboardInterrupt
        return pages.pop(0)

    monkeypatch.setattr(follow, "POLL_S", 0)
    follow.follow_moves(fetch, lambda fresh: shown.extend(f"{one['id']} {one['state']}" for one in fresh))
    assert shown == ["a under way", "a completed", "b under way"]
    assert [when and when[11:19] for when in asked] == [None, "10:00:30", "10:01:30", "10:02:30"]


FOUND: dict[str, Any] = {
    "rows": [{"team": "a\x1b[31m", "model": "m", "calls": 1, "tokens_in": 2, "tokens_out": 3, "usd": "0.004"}],
    "calls": 1,
    "total_usd": "0.004",
    "trend": [{"day": f"2026-11-{day:02}", "usd": "1.00", "usd_micro": day * 1000, "calls": 1} for day in range(7, 21)],
    "forecast": {
        "month": "2026-11",
        "spent_usd": "1.00",
        "expected_usd_micro": 2_000_000,
        "low_usd_micro": 1_500_000,
        "high_usd_micro": 2_500_000,
        "level": 0.8,
        "days_seen": 9,
        "by_weekday": False,
    },
    "near_limits": [{"scope": "team:a", "period": "day", "percent": 91, "committed_usd": "9.10", "limit_usd": "10.00"}],
    "recommendations": [{"saving_usd": "4.00", "purpose": "p", "model": "m", "why": "because"}],
}


@pytest.mark.rows("F47", "F48", "F50")
def test_the_costs_page_shows_everything_and_no_control_code(monkeypatch: pytest.MonkeyPatch) -> None:
    out = StringIO()
    costs(Console(file=out, width=200), FOUND)
    text = out.getvalue()
    for words in (
        "$0.004",
        "about $2.00 expected",
        "$1.50 to $2.50 in 80%",
        "91 % of the day's budget",
        "save about $4.00",
    ):
        assert words in text
    assert "\x1b" not in text
    nothing = FOUND | {"rows": [], "near_limits": [], "recommendations": [], "forecast": {"cannot_tell": "too new"}}
    silent = [day | {"usd_micro": 0} for day in FOUND["trend"]]
    costs(Console(file=out, width=200), nothing | {"trend": silent})
    assert "no forecast yet; too new" in out.getvalue()
    looks = iter([FOUND, nothing])

    def fetch() -> Any:
        if (found := next(looks, None)) is None:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(follow, "WATCH_S", 0)
    follow.watch(Console(file=out, width=200), fetch, page)
