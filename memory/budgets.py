"""Budgets that cannot be overrun: money is held before a call and settled after it.

Holding is one conditional UPDATE a scope (company, team, member), so parallel calls can never hold more than a limit between
them. A reservation that nobody settles stays counted: it expires into spent money, never back into the budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from memory.gateway_tables import BudgetRow, ReservationRow
from memory.tables import UtcTime

COMPANY = "company"
#: More than anybody has.
NO_LIMIT = 2**62


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
    day, held = day_of(now), list[str]()
    for scope in scopes(hold.team, hold.member):
        limit = limits.get(scope, NO_LIMIT)
        if not _commit(session, scope, limit, day, hold.usd_micro):
            for earlier in held:
                _add(session, earlier, day, -hold.usd_micro)
            raise OverBudget(scope, limit, committed(session, scope, now), hold.usd_micro, now)
        held.append(scope)
    fields = {key: value for key, value in vars(hold).items() if key != "lifetime"}
    times = {"reserved_at": now, "expires_at": now + hold.lifetime, "settled_at": None}
    session.execute(_INSERT_RESERVATION, fields | {"day": day} | times)


def settle(session: Session, reservation: str, spent_usd_micro: int, now: datetime) -> int:
    """Replaces the held amount by what was spent, once, on the day it was held; returns what now counts.

    A reservation settled after it expired gives nothing back. `LookupError` if it was settled before or never made.
    """
    row = session.execute(_CLOSE_RESERVATION, {"reservation": reservation, "now": now}).first()
    if row is None:
        raise LookupError(f"reservation {reservation} is not open; it was settled before or never made")
    counts = max(spent_usd_micro, row.usd_micro) if now >= row.expires_at else spent_usd_micro
    if difference := counts - row.usd_micro:
        for scope in scopes(row.team, row.member):
            _add(session, scope, row.day, difference)
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


def _commit(session: Session, scope: str, limit: int, day: str, amount: int) -> bool:
    """Adds the amount if it fits, in one statement: nothing can come between looking and writing."""
    if limit == 0 or amount > limit:
        return False
    result = session.execute(_COMMIT, {"scope": scope, "day": day, "amount": amount, "limit": limit})
    return isinstance(result, CursorResult) and result.rowcount == 1


def _add(session: Session, scope: str, day: str, amount: int) -> None:
    session.execute(_ADD, {"scope": scope, "day": day, "amount": amount})


# Both databases understand these; built once, because building costs more than running.
_COMMIT = text(
    "INSERT INTO budgets (scope, day, committed_usd_micro) VALUES (:scope, :day, :amount) "
    "ON CONFLICT (scope, day) DO UPDATE SET committed_usd_micro = budgets.committed_usd_micro + :amount "
    "WHERE budgets.committed_usd_micro + :amount <= :limit"
)
_ADD = text(
    "UPDATE budgets SET committed_usd_micro = committed_usd_micro + :amount WHERE scope = :scope AND day = :day"
)
_INSERT_RESERVATION = insert(ReservationRow.__table__)  # pyright: ignore[reportArgumentType] - a mapped class has a table
_CLOSE_RESERVATION = (
    update(ReservationRow)
    .where(ReservationRow.id == bindparam("reservation"), ReservationRow.settled_at.is_(None))
    .values(settled_at=bindparam("now", type_=UtcTime()))
    .returning(
        ReservationRow.team,
        ReservationRow.member,
        ReservationRow.day,
        ReservationRow.usd_micro,
        ReservationRow.expires_at,
    )
    .execution_options(synchronize_session=False)
)
