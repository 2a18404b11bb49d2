"""What a month will cost, from what its days cost so far: an expected sum and the interval that holds it in eight of ten months.

The days left are predicted by the mean of the days seen; from three weeks on by the mean of their weekday, since offices rest. The
interval is Student's for a sum of new days: it knows both that days differ and that a mean of few days is a guess itself.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import sqrt
from statistics import NormalDist

LEVEL = 0.8
#: Fewer whole days than this say nothing.
FEWEST_DAYS = 3
#: From so many days on, weekdays are told apart. Older days than `MOST_DAYS` are another time.
WEEKDAY_DAYS, MOST_DAYS = 21, 56


@dataclass(frozen=True)
class Forecast:
    """A calendar month's cost in micro-dollars. `low` is never below what is spent already."""

    month: str
    spent: int
    expected: int
    low: int
    high: int
    days_seen: int
    by_weekday: bool


@dataclass(frozen=True)
class CannotTell:
    reason: str


def forecast(spent_by_day: Mapping[date, int], today: date) -> Forecast | CannotTell:
    """Micro-dollars by UTC day -> this month's forecast. A day that is missing between the first and today cost nothing.

    Today is not over: it counts with what it has cost, or with what such a day costs if that is more.
    """
    seen = _whole_days(spent_by_day, today)
    if len(seen) < FEWEST_DAYS:
        return CannotTell(f"{len(seen)} whole days of spending are known; it takes {FEWEST_DAYS} to tell")
    by_weekday = len(seen) >= WEEKDAY_DAYS
    means, counts, spread, freedom = _fit(seen, by_weekday=by_weekday)
    left = _days_left(today)
    weights = {key: sum(1 for day in left if _key(day, by_weekday=by_weekday) == key) for key in means}
    expected_left = sum(weights[key] * means[key] for key in means)
    variance = spread * (len(left) + sum(weight**2 / counts[key] for key, weight in weights.items()))
    half = student(0.5 + LEVEL / 2, freedom) * sqrt(variance)
    before = sum(
        cost for day, cost in spent_by_day.items() if day.replace(day=1) == today.replace(day=1) and day < today
    )
    so_far_today = spent_by_day.get(today, 0)
    spent = before + so_far_today
    expected = max(spent, before + round(expected_left))
    return Forecast(
        month=f"{today:%Y-%m}",
        spent=spent,
        expected=expected,
        low=min(expected, max(spent, before + round(expected_left - half))),
        high=max(expected, before + round(expected_left + half)),
        days_seen=len(seen),
        by_weekday=by_weekday,
    )


def student(probability: float, freedom: int) -> float:
    """The quantile of Student's t (for a probability above one half), by its expansion around the normal one.

    Within 1 % from two degrees of freedom on, for the probabilities of intervals up to 90 %.
    """
    z, n = NormalDist().inv_cdf(probability), freedom
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / n + second / n**2 + third / n**3


def _whole_days(spent_by_day: Mapping[date, int], today: date) -> dict[date, int]:
    """Every day from the first that cost something to yesterday, at most `MOST_DAYS` of them."""
    first = min((day for day, cost in spent_by_day.items() if cost and day < today), default=today)
    first = max(first, today - timedelta(days=MOST_DAYS))
    days = (first + timedelta(days=number) for number in range((today - first).days))
    return {day: spent_by_day.get(day, 0) for day in days}


def _days_left(today: date) -> list[date]:
    last = calendar.monthrange(today.year, today.month)[1]
    return [today.replace(day=number) for number in range(today.day, last + 1)]


def _key(day: date, *, by_weekday: bool) -> int:
    return day.weekday() if by_weekday else 0


def _fit(seen: Mapping[date, int], *, by_weekday: bool) -> tuple[dict[int, float], dict[int, int], float, int]:
    """Means and numbers of days by key, the variance of a day around its mean, and its degrees of freedom."""
    groups: dict[int, list[int]] = {}
    for day, cost in seen.items():
        groups.setdefault(_key(day, by_weekday=by_weekday), []).append(cost)
    means = {key: _mean(costs) for key, costs in groups.items()}
    freedom = len(seen) - len(groups)
    squares = sum((cost - means[key]) ** 2 for key, costs in groups.items() for cost in costs)
    return means, {key: len(costs) for key, costs in groups.items()}, squares / freedom, freedom


def _mean(costs: Sequence[int] | Iterable[int]) -> float:
    listed = list(costs)
    return sum(listed) / len(listed)
