"""Daily summaries of what model calls cost: kept from usage rows, cheap to read for trends and forecasts (F51).

Writing one twice gives the same summary: it is always summed anew from the day's usage rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import case, delete, func, insert, select
from sqlalchemy.orm import Session

from memory.gateway_tables import UsageRow
from memory.money_tables import DailySummaryRow

#: No call is settled later than this after its day.
_STILL_OPEN = timedelta(days=2)
_KEY = ("day", "team", "member", "model", "purpose")


@dataclass(frozen=True)
class DailySummary:
    """One UTC day of one team's member, model and purpose. Money in micro-dollars, latency summed, in milliseconds."""

    day: str
    team: str
    member: str
    model: str
    purpose: str
    calls: int
    failed: int
    tokens_in: int
    tokens_out: int
    usd_micro: int
    latency_ms: int


def summarise(session: Session, day: str, now: datetime) -> int:
    """Sums the day's usage rows into its summary, which replaces an earlier one; returns its number of rows."""
    session.execute(delete(DailySummaryRow).where(DailySummaryRow.day == day))
    answered = UsageRow.outcome.in_(("ok", "unmetered"))
    sums = (
        func.count(UsageRow.id),
        func.sum(case((answered, 0), else_=1)),
        func.sum(UsageRow.tokens_in),
        func.sum(UsageRow.tokens_out),
        func.sum(UsageRow.usd_micro),
        func.sum(UsageRow.latency_ms),
    )
    key = [getattr(UsageRow, name) for name in _KEY]
    rows = session.execute(select(*key, *sums).where(UsageRow.day == day).group_by(*key)).all()
    names = (*_KEY, "calls", "failed", "tokens_in", "tokens_out", "usd_micro", "latency_ms")
    found = [
        {name: value if name in _KEY else int(value) for name, value in zip(names, row, strict=True)}
        | {"summed_at": now}
        for row in rows
    ]
    if found:
        session.execute(insert(DailySummaryRow), found)
    return len(found)


def catch_up(session: Session, now: datetime) -> list[str]:
    """Summarises every day that has usage rows newer than its summary, and returns those days.

    A day changes after its end too: a call over midnight is paid by the day that reserved it.
    """
    last = session.scalar(select(func.max(DailySummaryRow.day)))
    # Only the end can still change; without any summary yet, everything is summed once.
    first = (date.fromisoformat(last) - _STILL_OPEN).isoformat() if last else ""
    summed = select(DailySummaryRow.day, func.min(DailySummaryRow.summed_at)).group_by(DailySummaryRow.day)
    known: dict[str, datetime] = {row[0]: row[1] for row in session.execute(summed.where(DailySummaryRow.day >= first))}
    newest = select(UsageRow.day, func.max(UsageRow.at)).where(UsageRow.day >= first).group_by(UsageRow.day)
    stale = [day for day, at in session.execute(newest) if day not in known or at >= known[day]]
    for day in sorted(stale):
        summarise(session, day, now)
    return sorted(stale)


def daily(session: Session, days: int, until: str) -> list[DailySummary]:
    """The summaries of so many days, the last of which is `until`; oldest first. Days without a call have none."""
    first = (date.fromisoformat(until) - timedelta(days=days - 1)).isoformat()
    query = select(DailySummaryRow).where(DailySummaryRow.day >= first, DailySummaryRow.day <= until)
    columns = [getattr(DailySummaryRow, name) for name in _KEY]
    return [
        DailySummary(
            day=row.day,
            team=row.team,
            member=row.member,
            model=row.model,
            purpose=row.purpose,
            calls=row.calls,
            failed=row.failed,
            tokens_in=row.tokens_in,
            tokens_out=row.tokens_out,
            usd_micro=row.usd_micro,
            latency_ms=row.latency_ms,
        )
        for row in session.scalars(query.order_by(*columns))
    ]
