"""What a month will cost: told only when there is enough to tell it from, and with how sure that is."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest

from memory.forecast import CannotTell, Forecast, forecast, student

TODAY = date(2026, 11, 20)


def told(spent: dict[date, int], today: date = TODAY) -> Forecast:
    found = forecast(spent, today)
    assert isinstance(found, Forecast)
    return found


def days(count: int, cost: int, until: date = TODAY) -> dict[date, int]:
    return {until - timedelta(days=ago): cost for ago in range(1, count + 1)}


@pytest.mark.rows("F48", "F49")
@pytest.mark.parametrize("known", [0, 1, 2])
def test_fewer_than_three_whole_days_tell_nothing(known: int) -> None:
    found = forecast(days(known, 1_000_000) | {TODAY: 500_000}, TODAY)
    assert isinstance(found, CannotTell) and str(known) in found.reason


@pytest.mark.rows("F48", "F49")
def test_equal_days_make_a_sure_forecast() -> None:
    found = told(days(12, 1_000_000) | {TODAY: 250_000})
    # 12 of the days before are in November; today and ten more are left.
    assert (found.expected, found.low, found.high) == (23_000_000, 23_000_000, 23_000_000)
    assert found.spent == 12_250_000 and not found.by_weekday


@pytest.mark.rows("F48")
def test_days_that_cost_nothing_count_and_those_before_the_first_do_not() -> None:
    spent = {TODAY - timedelta(days=4): 4_000_000, TODAY - timedelta(days=60): 0}
    found = told(spent)
    assert found.days_seen == 4 and found.expected == 4_000_000 + 11 * 1_000_000


@pytest.mark.rows("F48")
def test_weekdays_are_told_apart_after_three_weeks() -> None:
    spent = {
        day: 0 if day.weekday() >= 5 else 1_000_000 for day in (TODAY - timedelta(days=ago) for ago in range(1, 43))
    }
    found = told(spent)
    # 20 to 30 November 2026: a Friday, then Monday to Friday, then a Monday: seven working days.
    assert found.by_weekday and found.expected - found.spent == 7_000_000
    assert found.low == found.high == found.expected


@pytest.mark.rows("F48")
def test_nothing_below_what_is_spent_already_is_forecast() -> None:
    spent = days(5, 10_000) | {TODAY: 90_000_000}
    found = told(spent)
    assert found.low >= found.spent and found.expected >= found.spent == 90_050_000
    last = told({date(2026, 11, 30) - timedelta(days=ago): 100 for ago in range(5)}, date(2026, 11, 30))
    assert last.low <= last.expected <= last.high


@pytest.mark.rows("F49")
def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = random.Random(7)
    held = 0
    for _ in range(400):
        month = {date(2026, 11, number): max(0, round(rng.gauss(10e6, 3e6))) for number in range(1, 31)}
        today = date(2026, 11, 9)
        found = told({day: cost for day, cost in month.items() if day < today}, today)
        held += found.low <= sum(month.values()) <= found.high
    assert 0.74 <= held / 400 <= 0.86


def test_the_quantile_is_students() -> None:
    for freedom, table in ((2, 1.886), (3, 1.638), (5, 1.476), (10, 1.372), (30, 1.310)):
        assert student(0.9, freedom) == pytest.approx(table, rel=0.01)
    assert student(0.95, 4) == pytest.approx(2.132, rel=0.01)
