"""A day's summary is what its usage rows say, however often it is written and whenever the rows come in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memory import summaries, usage
from memory.session import Database

NOW = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)


def spend(database: Database, **fields: Any) -> None:
    row: dict[str, Any] = {"day": "2026-11-20", "at": NOW, "team": "a", "member": "m", "model": "x", "purpose": "p"}
    row |= {"run": "r", "tokens_in": 2, "tokens_out": 1, "usd_micro": 5, "latency_ms": 10, "outcome": "ok"}
    with database.begin() as session:
        usage.record(session, usage.Usage(**(row | fields)))


def caught_up(database: Database, now: datetime) -> list[str]:
    with database.begin() as session:
        return summaries.catch_up(session, now)


@pytest.mark.rows("F51")
def test_summing_twice_gives_the_same_summary(database: Database) -> None:
    spend(database)
    spend(database, outcome="timeout", usd_micro=7)
    spend(database, team="b", purpose="q")
    for _ in range(2):
        with database.begin() as session:
            assert summaries.summarise(session, "2026-11-20", NOW) == 2
    with database.read() as session:
        first, second = summaries.daily(session, 1, "2026-11-20")
    assert (first.team, first.calls, first.failed, first.usd_micro, first.latency_ms) == ("a", 2, 1, 12, 20)
    assert (second.team, second.purpose, second.calls, second.tokens_in) == ("b", "q", 1, 2)


@pytest.mark.rows("F51")
def test_only_days_that_changed_are_summed_again(database: Database) -> None:
    spend(database, day="2026-10-01", at=NOW - timedelta(days=50))
    spend(database)
    later = NOW + timedelta(minutes=1)
    assert caught_up(database, later) == ["2026-10-01", "2026-11-20"]
    assert caught_up(database, later) == []
    spend(database, day="2026-11-21", at=later + timedelta(hours=2))
    # A call over midnight is paid by the day before.
    spend(database, at=later + timedelta(hours=2))
    assert caught_up(database, later + timedelta(hours=3)) == ["2026-11-20", "2026-11-21"]
    with database.read() as session:
        days = [(row.day, row.calls) for row in summaries.daily(session, 2, "2026-11-21")]
    assert days == [("2026-11-20", 2), ("2026-11-21", 1)]


def test_without_a_call_there_is_no_summary(database: Database) -> None:
    assert caught_up(database, NOW) == []
    with database.read() as session:
        assert summaries.daily(session, 30, "2026-11-20") == []
