"""The costs page: today, the trend, the month's forecast, who is near a limit, and what could be saved."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from memory import cost_views
from memory.budgets import Limits, day_of, usd
from memory.cost_advice import PriceOf, advise
from memory.forecast import LEVEL, MOST_DAYS, CannotTell, forecast
from memory.session import Database

TREND_DAYS = 14


@dataclass(frozen=True)
class Spending:
    """`limits_of` gives a member's limits as the law has them now; `candidates` the models that could be used instead."""

    database: Database
    limits_of: Callable[[str, str], Limits]
    candidates: Callable[[], Collection[str]]
    price_of: PriceOf
    now: Callable[[], datetime]

    def page(self) -> dict[str, Any]:
        """Money as text in dollars for people, and in whole micro-dollars (`…_micro`) for reckoning."""
        now = self.now()
        today = now.astimezone(UTC).date()
        with self.database.read() as session:
            rows = cost_views.today(session, now)
            days = cost_views.by_day(session, min(today - timedelta(days=MOST_DAYS), today.replace(day=1)))
            uses = cost_views.uses(session, today - timedelta(days=TREND_DAYS - 1))
            spenders = cost_views.spenders(session, now)
            near = cost_views.near_limits(session, self._limits(spenders), now)
        spent, calls = days.get(today, (0, 0))
        advice = advise(uses, _observed(days, today), self.candidates(), self.price_of)
        return {
            "day": day_of(now),
            "rows": [asdict(row) | {"usd": usd(row.usd_micro)} for row in rows],
            "calls": calls,
            "total_usd": usd(spent),
            "total_usd_micro": spent,
            "trend": [_day(day, days) for day in (today - timedelta(days=ago) for ago in reversed(range(TREND_DAYS)))],
            "forecast": _forecast(days, today),
            "near_limits": [_near(one) for one in near],
            "recommendations": [asdict(one) | {"saving_usd": usd(one.saving_usd_micro)} for one in advice],
        }

    def _limits(self, spenders: list[tuple[str, str]]) -> Limits:
        """The limits of everybody who spends, as one."""
        each = [self.limits_of(team, member) for team, member in spenders]
        day = {scope: limit for one in each for scope, limit in one.day.items()}
        month = {scope: limit for one in each for scope, limit in one.month.items()}
        return Limits(day, month, None, each[0].warn_at_percent if each else 80)


def _day(day: date, days: dict[date, tuple[int, int]]) -> dict[str, Any]:
    micro, calls = days.get(day, (0, 0))
    return {"day": day.isoformat(), "usd": usd(micro), "usd_micro": micro, "calls": calls}


def _observed(days: dict[date, tuple[int, int]], today: date) -> int:
    """Of the days that advice rests on, how many there are since the first call."""
    first = min((day for day in days if day > today - timedelta(days=TREND_DAYS)), default=None)
    return 0 if first is None else (today - first).days + 1


def _forecast(days: dict[date, tuple[int, int]], today: date) -> dict[str, Any]:
    found = forecast({day: micro for day, (micro, _) in days.items()}, today)
    if isinstance(found, CannotTell):
        return {"cannot_tell": found.reason}
    money = {name: getattr(found, name) for name in ("spent", "expected", "low", "high")}
    spoken = {f"{name}_usd": usd(micro) for name, micro in money.items()}
    reckoned = {f"{name}_usd_micro": micro for name, micro in money.items()}
    basis = {"level": LEVEL, "days_seen": found.days_seen, "by_weekday": found.by_weekday}
    return {"month": found.month} | spoken | reckoned | basis


def _near(one: cost_views.NearLimit) -> dict[str, Any]:
    spoken = {"committed_usd": usd(one.committed_usd_micro), "limit_usd": usd(one.limit_usd_micro)}
    return asdict(one) | spoken | {"percent": one.percent}
