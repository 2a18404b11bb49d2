"""What model calls cost: one row a call, and the sums people ask for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from memory import budgets
from memory.gateway_tables import ReservationRow, UsageRow
from memory.rows import Rows, Transaction, insert_into, rows_of
from memory.tables import utc_text


@dataclass(frozen=True)
class Usage:
    """One model call as it ended. Money in micro-dollars, latency in milliseconds, `day` the UTC day that paid."""

    day: str
    at: datetime
    team: str
    member: str
    model: str
    purpose: str
    run: str
    tokens_in: int
    tokens_out: int
    usd_micro: int
    latency_ms: int
    outcome: str


@dataclass(frozen=True)
class Total:
    """Calls, tokens and micro-dollars of a selection of calls."""

    calls: int
    tokens_in: int
    tokens_out: int
    usd_micro: int


def record(transaction: Transaction, usage: Usage) -> None:
    rows_of(transaction).execute(_INSERT, vars(usage) | {"at": utc_text(usage.at)})


def close_expired(transaction: Transaction, now: datetime) -> list[Usage]:
    """Turns reservations whose call never came back into spent money, with a usage row each; returns those rows."""
    rows = rows_of(transaction)
    return [_close(rows, one, now) for one in budgets.expired(rows, now)]


def spent_today(session: Session, now: datetime) -> dict[str, int]:
    """Micro-dollars by team, today, money held for calls under way not included."""
    query = (
        select(UsageRow.team, func.sum(UsageRow.usd_micro))
        .where(UsageRow.day == budgets.day_of(now))
        .group_by(UsageRow.team)
    )
    return {team: int(micro) for team, micro in session.execute(query)}


def total(session: Session, team: str | None = None, day: str | None = None, run: str | None = None) -> Total:
    """All calls, or those of a team, a UTC day, a run."""
    chosen: list[ColumnElement[bool]] = []
    if team is not None:
        chosen.append(UsageRow.team == team)
    if day is not None:
        chosen.append(UsageRow.day == day)
    if run is not None:
        chosen.append(UsageRow.run == run)
    sums = (func.sum(UsageRow.tokens_in), func.sum(UsageRow.tokens_out), func.sum(UsageRow.usd_micro))
    calls, *rest = session.execute(select(func.count(UsageRow.id), *sums).where(*chosen)).one()
    tokens_in, tokens_out, micro = (int(value or 0) for value in rest)
    return Total(calls, tokens_in, tokens_out, micro)


def metered(session: Session, run: str) -> Total | None:
    """What a run took, where that is known: None without calls, or if one of them took tokens that nobody counted."""
    outcomes = set(session.scalars(select(UsageRow.outcome).where(UsageRow.run == run).distinct()))
    return total(session, run=run) if outcomes and outcomes <= _COUNTED else None


def committed_by_run(session: Session, run: str) -> int:
    """Micro-dollars that a run has cost in all teams, with what is held for its calls under way."""
    spent = session.scalar(select(func.sum(UsageRow.usd_micro)).where(UsageRow.run == run))
    held = select(func.sum(ReservationRow.usd_micro)).where(
        ReservationRow.settled_at.is_(None), ReservationRow.run == run
    )
    return int(spent or 0) + int(session.scalar(held) or 0)


#: How calls end whose tokens are known: answered and counted, or not worked on at all.
_COUNTED = frozenset({"ok", "rate_limit", "quota", "unreachable", "key_refused", "no_such_model", "not_accepted"})
_INSERT = insert_into("usage", [field.name for field in fields(Usage)])


def _close(rows: Rows, lost: budgets.Expired, now: datetime) -> Usage:
    spent = budgets.settle(rows, lost.id, lost.usd_micro, now)
    usage = Usage(
        day=lost.day,
        at=now,
        team=lost.team,
        member=lost.member,
        model=lost.model,
        purpose=lost.purpose,
        run=lost.run,
        tokens_in=0,
        tokens_out=0,
        usd_micro=spent,
        latency_ms=int((now - lost.reserved_at).total_seconds() * 1000),
        outcome="expired",
    )
    record(rows, usage)
    return usage
