"""Budgets hold under parallel calls, and no money is lost track of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from memory import budgets, usage
from memory.budgets import COMPANY, Account, Hold, Limits, OverBudget
from memory.gateway_tables import BudgetRow, UsageRow
from memory.money_tables import BudgetClockRow
from memory.session import Database

NOW = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)
TEAM, MEMBER = "team:writers", "member:writers/ann"


def hold(number: int | str, usd_micro: int = 1_000, lifetime: int = 300, run: str = "run-1") -> Hold:
    return Hold(f"r{number}", "writers", "ann", "m", "member-work", run, usd_micro, timedelta(seconds=lifetime))


def committed(database: Database, scope: str, now: datetime = NOW) -> int:
    with database.read() as session:
        return budgets.committed(session, scope, now)


def many_at_once(database: Database, limit: Limits, day: int = 0) -> int:
    """How many of 200 parallel calls of $0.001 get their money, so many days on."""
    now = NOW + timedelta(days=day)

    def one(number: int) -> bool:
        try:
            with database.begin() as session:
                budgets.reserve(session, hold(f"{day}-{number}"), limit, now)
        except OverBudget:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        return sum(pool.map(one, range(200)))


def check_then_write(database: Database, limit: int, together: Barrier) -> bool:
    """The way budgets fail elsewhere: read, compare, then write in another transaction, with somebody else in between."""
    allowed = committed(database, TEAM) + 1_000 <= limit
    together.wait()
    if allowed:
        with database.begin() as session:
            more = BudgetRow.committed_usd_micro + 1_000
            session.execute(update(BudgetRow).where(BudgetRow.scope == TEAM).values(committed_usd_micro=more))
    return allowed


@pytest.mark.rows("F45", "L4")
@pytest.mark.parametrize("scope", [COMPANY, TEAM, MEMBER])
def test_of_200_parallel_calls_a_budget_for_10_lets_exactly_10_through(database: Database, scope: str) -> None:
    assert many_at_once(database, Limits(day={scope: 10_000})) == 10
    assert [committed(database, each) for each in (COMPANY, TEAM, MEMBER)] == [10_000] * 3


@pytest.mark.rows("F45", "L4")
def test_ten_runs_of_ten_let_exactly_10_through(database: Database) -> None:
    limits = Limits(day={TEAM: 10_000})
    assert [many_at_once(database, limits, day) for day in range(10)] == [10] * 10


@pytest.mark.rows("F45")
def test_a_budget_that_is_checked_and_then_written_is_overrun(sqlite: Database) -> None:
    with sqlite.begin() as session:
        session.add(BudgetRow(scope=TEAM, day=budgets.day_of(NOW), committed_usd_micro=0))
    together = Barrier(20)
    with ThreadPoolExecutor(20) as pool:
        allowed = [job.result() for job in [pool.submit(check_then_write, sqlite, 10_000, together) for _ in range(20)]]
    assert sum(allowed) == 20
    assert committed(sqlite, TEAM) == 20_000


@pytest.mark.rows("F45")
def test_a_refusal_holds_nothing_anywhere_and_says_when_it_opens_again(database: Database) -> None:
    with database.begin() as session, pytest.raises(OverBudget) as refusal:
        budgets.reserve(session, hold(1), Limits(day={COMPANY: 5_000, MEMBER: 999}), NOW)
    assert [committed(database, each) for each in (COMPANY, TEAM, MEMBER)] == [0, 0, 0]
    assert refusal.value.opens_at == datetime(2026, 11, 21, tzinfo=UTC)
    assert "2026-11-21T00:00:00+00:00" in str(refusal.value)
    assert "$0.000999 of $0.000999 are left" in str(refusal.value)


@pytest.mark.rows("F45")
def test_zero_means_nothing_may_be_spent_not_even_by_a_call_that_costs_nothing(database: Database) -> None:
    with database.begin() as session, pytest.raises(OverBudget, match="nothing may be spent"):
        budgets.reserve(session, hold(1, usd_micro=0), Limits(day={TEAM: 0}), NOW)


@pytest.mark.rows("F45")
def test_an_absent_limit_is_no_limit_but_what_is_spent_is_counted(database: Database) -> None:
    with database.begin() as session:
        budgets.reserve(session, hold(1, usd_micro=10**15), Limits(), NOW)
    assert committed(database, TEAM) == 10**15


@pytest.mark.rows("F45")
def test_settling_gives_back_what_was_not_spent_and_only_once(database: Database) -> None:
    with database.begin() as session:
        budgets.reserve(session, hold(1), Limits(day={TEAM: 1_000}), NOW)
    with database.begin() as session:
        assert budgets.settle(session, "r1", 400, NOW) == 400
    assert committed(database, TEAM) == 400
    with database.begin() as session, pytest.raises(LookupError, match="not open"):
        budgets.settle(session, "r1", 0, NOW)
    assert committed(database, TEAM) == 400


@pytest.mark.rows("F45")
def test_a_call_over_midnight_is_paid_by_the_day_that_held_it(database: Database) -> None:
    tomorrow = NOW + timedelta(hours=2)
    with database.begin() as session:
        budgets.reserve(session, hold(1, lifetime=9_000), Limits(day={TEAM: 1_000}), NOW)
    with database.begin() as session:
        budgets.settle(session, "r1", 400, tomorrow)
    assert (committed(database, TEAM), committed(database, TEAM, tomorrow)) == (400, 0)
    with database.begin() as session:
        budgets.reserve(session, hold(2), Limits(day={TEAM: 1_000}), tomorrow)


@pytest.mark.rows("F45", "L4")
def test_a_reservation_nobody_settles_counts_as_spent_and_gets_its_usage_row(database: Database) -> None:
    later = NOW + timedelta(seconds=301)
    with database.begin() as session:
        budgets.reserve(session, hold(1), Limits(day={TEAM: 1_500}), NOW)
    with database.begin() as session, pytest.raises(OverBudget):
        budgets.reserve(session, hold(2), Limits(day={TEAM: 1_500}), later)
    with database.begin() as session:
        assert [row.usd_micro for row in usage.close_expired(session, later)] == [1_000]
    with database.begin() as session:
        assert usage.close_expired(session, later) == []
        assert [(row.outcome, row.day) for row in session.scalars(select(UsageRow))] == [("expired", "2026-11-20")]
        assert usage.spent_today(session, later) == {"writers": 1_000}
    assert committed(database, TEAM) == 1_000


@pytest.mark.rows("F45")
def test_a_call_settled_after_it_expired_gives_nothing_back(database: Database) -> None:
    with database.begin() as session:
        budgets.reserve(session, hold(1), Limits(day={TEAM: 1_500}), NOW)
    with database.begin() as session:
        assert budgets.settle(session, "r1", 1, NOW + timedelta(seconds=300)) == 1_000


def test_a_negative_reservation_is_impossible(sqlite: Database) -> None:
    with sqlite.begin() as session, pytest.raises(ValueError, match="negative"):
        budgets.reserve(session, hold(1, usd_micro=-1), Limits(), NOW)


@pytest.mark.rows("F44", "F51")
def test_usage_is_summed_by_team_day_and_run(database: Database) -> None:
    row: dict[str, Any] = {"at": NOW, "member": "ann", "model": "m", "purpose": "p", "latency_ms": 5, "outcome": "ok"}
    with database.begin() as session:
        for team, day, run, micro in (
            ("a", "2026-11-20", "x", 5),
            ("a", "2026-11-19", "y", 7),
            ("b", "2026-11-20", "x", 11),
        ):
            usage.record(
                session, usage.Usage(day=day, team=team, run=run, tokens_in=2, tokens_out=1, usd_micro=micro, **row)
            )
        assert usage.total(session) == usage.Total(3, 6, 3, 23)
        assert usage.total(session, team="a").usd_micro == 12
        assert usage.total(session, day="2026-11-20").usd_micro == 16
        assert usage.total(session, run="x", team="b").usd_micro == 11
        assert usage.spent_today(session, NOW) == {"a": 5, "b": 11}
        assert usage.total(session, team="nobody") == usage.Total(0, 0, 0, 0)


def test_micro_dollars_are_shown_as_dollars() -> None:
    assert [budgets.usd(micro) for micro in (0, 1, 1_500, 10_000_000, -2_500_000)] == [
        "0.00",
        "0.000001",
        "0.0015",
        "10.00",
        "-2.50",
    ]


@pytest.mark.rows("F45")
@pytest.mark.parametrize(
    "limits", [Limits(month={COMPANY: 10_000}), Limits(month={MEMBER: 10_000}), Limits(run=10_000)]
)
def test_of_200_parallel_calls_a_month_or_a_run_lets_exactly_10_through(database: Database, limits: Limits) -> None:
    assert many_at_once(database, limits) == 10


@pytest.mark.rows("F45")
def test_a_month_opens_with_the_next_and_a_run_never_again(database: Database) -> None:
    tomorrow, december = NOW + timedelta(days=1), datetime(2026, 12, 1, tzinfo=UTC)
    limits = Limits(month={TEAM: 1_500})
    with database.begin() as session:
        budgets.reserve(session, hold(1), limits, NOW)
    with database.begin() as session, pytest.raises(OverBudget, match="The monthly budget of team:writers") as refusal:
        budgets.reserve(session, hold(2), limits, tomorrow)
    assert refusal.value.opens_at == december
    with database.begin() as session:
        budgets.reserve(session, hold(3), limits, december)
        assert budgets.committed(session, TEAM, december, "month") == 1_000
    with (
        database.begin() as session,
        pytest.raises(OverBudget, match=r"one run of team:writers.*Begin another") as over,
    ):
        budgets.reserve(session, hold(4), Limits(run=2_500), december)
    assert over.value.opens_at is None
    with database.begin() as session:
        budgets.reserve(session, hold(5, run="run-2"), Limits(run=2_500), december)
        budgets.reserve(session, hold(6, 10**9, run=budgets.NO_RUN), Limits(run=2_500), december)


@pytest.mark.rows("F45")
def test_a_clock_turned_back_gives_no_second_helping(database: Database) -> None:
    yesterday, limits = NOW - timedelta(days=1), Limits(day={TEAM: 1_000})
    with database.begin() as session:
        budgets.reserve(session, hold(1), limits, NOW)
    for earlier in (yesterday, NOW - timedelta(days=400)):
        with database.begin() as session, pytest.raises(OverBudget, match="money was spent on 2026-11-20") as refusal:
            budgets.reserve(session, hold(2), limits, earlier)
        assert refusal.value.opens_at == datetime(2026, 11, 21, tzinfo=UTC)
        assert committed(database, TEAM, earlier) == 1_000
    # The hole, planted: who forgets the latest day pays twice.
    with database.begin() as session:
        session.execute(delete(BudgetClockRow))
        budgets.reserve(session, hold(3), limits, yesterday)


@pytest.mark.rows("F46")
def test_a_budget_is_near_its_end_from_the_warning_mark_on_and_warned_of_once_a_day(database: Database) -> None:
    limits = Limits(day={TEAM: 1_000}, run=5_000, warn_at_percent=80)
    with database.begin() as session:
        assert budgets.reserve(session, hold(1, 799), limits, NOW).near(limits) == []
        assert budgets.reserve(session, hold(2, 1), limits, NOW).near(limits) == []
        near = budgets.stand(session, "writers", "ann", "run-1", NOW).near(limits)
        assert near == [Account(TEAM, "2026-11-20")]
        assert budgets.first_warnings(session, near, "2026-11-20") == near
        assert budgets.first_warnings(session, near, "2026-11-20") == []
        assert budgets.first_warnings(session, near, "2026-11-21") == near
        assert budgets.stand(session, "writers", "bob", "none", NOW).near(Limits(run=1)) == []


def test_a_member_s_names_never_make_two_accounts_one(database: Database) -> None:
    with database.begin() as session:
        budgets.reserve(session, hold(1, run="r" * 120), Limits(), NOW)
        accounts = set(budgets.stand(session, "writers", "ann", "r" * 119, NOW).committed.values())
    assert accounts == {1_000, 0}, "another run begins at nothing"
    assert all(len(account.scope) <= 120 for account in budgets.accounts("t" * 40, "m" * 40, "r" * 120, "2026-11-20"))
