"""What was spent, added up for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from memory.budgets import day_of
from memory.gateway_tables import UsageRow


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
