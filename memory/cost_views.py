"""What was spent, added up for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from memory.budgets import Limits, current_day, day_of
from memory.cost_advice import Use
from memory.gateway_tables import BudgetRow, UsageRow


@dataclass(frozen=True)
class Spent:
    """One team's calls of one model. Money in micro-dollars."""

    team: str
    model: str
    calls: int
    tokens_in: int
    tokens_out: int
    usd_micro: int


def today(session: Session, now: datetime) -> list[Spent]:
    """Every team and model of this UTC day, dearest first."""
    spent = func.sum(UsageRow.usd_micro)
    query = (
        select(
            UsageRow.team,
            UsageRow.model,
            func.count(),
            func.sum(UsageRow.tokens_in),
            func.sum(UsageRow.tokens_out),
            spent,
        )
        .where(UsageRow.day == day_of(now))
        .group_by(UsageRow.team, UsageRow.model)
        .order_by(spent.desc(), UsageRow.team, UsageRow.model)
    )
    return [
        Spent(team, model, int(calls), int(given or 0), int(produced or 0), int(micro or 0))
        for team, model, calls, given, produced, micro in session.execute(query)
    ]


def by_day(session: Session, since: date) -> dict[date, tuple[int, int]]:
    """Micro-dollars and calls of each UTC day from `since` on that had any, summed from the usage rows."""
    query = (
        select(UsageRow.day, func.sum(UsageRow.usd_micro), func.count())
        .where(UsageRow.day >= since.isoformat())
        .group_by(UsageRow.day)
    )
    return {date.fromisoformat(day): (int(micro), int(calls)) for day, micro, calls in session.execute(query)}


def uses(session: Session, since: date) -> list[Use]:
    """What each model was used for since that day."""
    answered = UsageRow.outcome.in_(("ok", "unmetered"))
    query = (
        select(
            UsageRow.purpose,
            UsageRow.model,
            func.count(),
            func.sum(case((answered, 1), else_=0)),
            func.sum(UsageRow.tokens_in),
            func.sum(UsageRow.tokens_out),
            func.sum(UsageRow.usd_micro),
            func.sum(case((answered, 0), else_=UsageRow.usd_micro)),
        )
        .where(UsageRow.day >= since.isoformat())
        .group_by(UsageRow.purpose, UsageRow.model)
    )
    return [Use(row[0], row[1], *(int(value or 0) for value in row[2:])) for row in session.execute(query)]


def spenders(session: Session, now: datetime) -> list[tuple[str, str]]:
    """(team, member) of everybody who spent or held money this month."""
    month = current_day(session, now)[:7]
    query = select(BudgetRow.scope).where(BudgetRow.day == month, BudgetRow.scope.startswith("member:"))
    found = (scope.removeprefix("member:").partition("/") for scope in session.scalars(query))
    return [(team, member) for team, _, member in found]


@dataclass(frozen=True)
class NearLimit:
    """An account that has committed (spent and held) most of its limit. Money in micro-dollars."""

    scope: str
    period: str
    committed_usd_micro: int
    limit_usd_micro: int

    @property
    def percent(self) -> int:
        return 100 if self.limit_usd_micro == 0 else self.committed_usd_micro * 100 // self.limit_usd_micro


def near_limits(session: Session, limits: Limits, now: datetime) -> list[NearLimit]:
    """Every scope of these limits that stands at the warning mark or above, fullest first. At 0 nothing was to be spent."""
    day = current_day(session, now)
    found: list[NearLimit] = []
    for period, when, of_scope in (("day", day, limits.day), ("month", day[:7], limits.month)):
        query = select(BudgetRow.scope, BudgetRow.committed_usd_micro).where(BudgetRow.day == when)
        for scope, micro in session.execute(query):
            limit = of_scope.get(scope)
            if limit is not None and micro > 0 and micro * 100 >= limit * limits.warn_at_percent:
                found.append(NearLimit(scope, period, int(micro), limit))
    return sorted(found, key=lambda one: (-one.percent, one.scope, one.period))
