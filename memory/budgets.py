"""Budgets that cannot be overrun: money is held before a call and settled after it.

Holding is one conditional UPDATE a scope (company, team, member), so parallel calls can never hold more than a limit between
them. A reservation that nobody settles stays counted: it expires into spent money, never back into the budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Insert, literal, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from memory.gateway_tables import BudgetRow, ReservationRow

COMPANY = "company"


@dataclass(frozen=True)
class Hold:
    """What is to be held, and for whom. `usd_micro` is the call's upper bound."""

    id: str
    team: str
    member: str
    model: str
    purpose: str
    run: str
    usd_micro: int
    lifetime: timedelta


class OverBudget(Exception):
    """A scope has not enough left today. Nothing was held."""

    def __init__(
        self, scope: str, limit_usd_micro: int, committed_usd_micro: int, wanted_usd_micro: int, now: datetime
    ):
        self.scope = scope
        self.limit_usd_micro = limit_usd_micro
        self.opens_at = next_day(now)
        limit, left, wanted = (
            usd(limit_usd_micro),
            usd(max(0, limit_usd_micro - committed_usd_micro)),
            usd(wanted_usd_micro),
        )
        reason = (
            "it is 0, so nothing may be spent"
            if limit_usd_micro == 0
            else f"${left} of ${limit} are left and this call may cost up to ${wanted}"
        )
        super().__init__(
            f"The daily budget of {scope} does not allow this call: {reason}. "
            f"It opens again at {self.opens_at.isoformat()}, or when a person raises it in policies/budgets.yaml."
        )


def reserve(session: Session, hold: Hold, limits: Mapping[str, int], now: datetime) -> None:
    """Holds the amount in each of its scopes, or raises `OverBudget` and holds nothing.

    `limits` are micro-dollars a day by scope. An absent scope has no limit; at 0 nothing may be spent, not even by a call that
    costs nothing.
    """
    if hold.usd_micro < 0:
        raise ValueError("a reservation cannot be negative")
    day = day_of(now)
    with session.begin_nested():
        for scope in scopes(hold.team, hold.member):
            _commit(session, scope, limits.get(scope), day, hold.usd_micro, now)
        session.add(
            ReservationRow(
                id=hold.id,
                team=hold.team,
                member=hold.member,
                day=day,
                model=hold.model,
                purpose=hold.purpose,
                run=hold.run,
                usd_micro=hold.usd_micro,
                reserved_at=now,
                expires_at=now + hold.lifetime,
                settled_at=None,
            )
        )


def settle(session: Session, reservation: str, spent_usd_micro: int, now: datetime) -> int:
    """Replaces the held amount by what was spent, once, on the day it was held; returns what now counts.

    A reservation settled after it expired gives nothing back. `LookupError` if it was settled before or never made.
    """
    row = session.get(ReservationRow, reservation, with_for_update=True)
    if row is None or row.settled_at is not None:
        raise LookupError(f"reservation {reservation} is not open; it was settled before or never made")
    counts = max(spent_usd_micro, row.usd_micro) if now >= row.expires_at else spent_usd_micro
    row.settled_at = now
    session.flush()
    if difference := counts - row.usd_micro:
        session.execute(
            update(BudgetRow)
            .where(BudgetRow.scope.in_(scopes(row.team, row.member)), BudgetRow.day == row.day)
            .values(committed_usd_micro=BudgetRow.committed_usd_micro + difference)
        )
    return counts


def committed(session: Session, scope: str, now: datetime) -> int:
    """Micro-dollars spent and held by the scope today."""
    query = select(BudgetRow.committed_usd_micro).where(BudgetRow.scope == scope, BudgetRow.day == day_of(now))
    return session.scalar(query) or 0


def expired(session: Session, now: datetime, most: int = 500) -> Sequence[ReservationRow]:
    """Reservations whose call never came back."""
    query = select(ReservationRow).where(ReservationRow.settled_at.is_(None), ReservationRow.expires_at <= now)
    return session.scalars(query.order_by(ReservationRow.expires_at).limit(most)).all()


def scopes(team: str, member: str) -> tuple[str, str, str]:
    """The scopes a member's call falls under, always in this order: locks are taken in it."""
    return (COMPANY, f"team:{team}", f"member:{team}/{member}")


def day_of(now: datetime) -> str:
    return now.astimezone(UTC).date().isoformat()


def next_day(now: datetime) -> datetime:
    """The next UTC midnight, when budgets open again."""
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)


def usd(micro: int) -> str:
    """Micro-dollars as a dollar amount with at least two decimals: 1500 -> `0.0015`."""
    whole, rest = divmod(abs(micro), 1_000_000)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micro < 0 else ''}{whole}.{decimals}"


def _commit(session: Session, scope: str, limit: int | None, day: str, amount: int, now: datetime) -> None:
    session.execute(_row_exists(session, scope, day))
    room = true() if limit is None else BudgetRow.committed_usd_micro + amount <= limit
    result = session.execute(
        update(BudgetRow)
        .where(BudgetRow.scope == scope, BudgetRow.day == day, room, literal(limit != 0))
        .values(committed_usd_micro=BudgetRow.committed_usd_micro + amount)
        .execution_options(synchronize_session=False)
    )
    if limit is not None and not (isinstance(result, CursorResult) and result.rowcount == 1):
        raise OverBudget(scope, limit, committed(session, scope, now), amount, now)


def _row_exists(session: Session, scope: str, day: str) -> Insert:
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    return insert(BudgetRow).values(scope=scope, day=day, committed_usd_micro=0).on_conflict_do_nothing()
