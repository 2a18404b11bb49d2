"""Budgets that cannot be overrun: money is held before a call and settled after it.

A call falls under up to seven accounts: company, team and member, each for a day and a month, and its run. They are looked at and
written in one transaction that begins by taking the one row that all of them take, so parallel calls can never hold more than a
limit between them. That row also remembers the latest day there ever was: a clock turned back gives no second helping. A reservation
that nobody settles stays counted: it expires into spent money, never back into the budget.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from memory.gateway_tables import BudgetRow
from memory.rows import Rows, Statement, Transaction, insert_into, rows_of
from memory.tables import utc_text

COMPANY = "company"
#: What a call that names no run calls itself; it has no run's account.
NO_RUN = "none"
#: The period of an account that is a run's.
_RUN = "run"

Period = Literal["day", "month", "run"]


class Account(NamedTuple):
    """A scope in a period: `company`, `team:<team>`, `member:<team>/<member>` on a UTC day or in a month, or a team's run."""

    scope: str
    when: str

    @property
    def period(self) -> Period:
        return "run" if self.when == _RUN else "day" if len(self.when) == len("2026-11-20") else "month"


@dataclass(frozen=True)
class Limits:
    """Micro-dollars by scope, for a day and for a month, and for the call's run. What is absent has no limit; at 0 nothing may
    be spent, not even by a call that costs nothing. From `warn_at_percent` of a limit on, an account counts as nearly spent.
    """

    day: Mapping[str, int] = field(default_factory=dict[str, int])
    month: Mapping[str, int] = field(default_factory=dict[str, int])
    run: int | None = None
    warn_at_percent: int = 80

    def of(self, account: Account) -> int | None:
        period = account.period
        return self.run if period == "run" else (self.day if period == "day" else self.month).get(account.scope)


@dataclass(frozen=True)
class Standing:
    """What the accounts of a call have committed (spent and held), read in the transaction that may add to it."""

    day: str
    committed: Mapping[Account, int]

    def near(self, limits: Limits) -> list[Account]:
        """The accounts that are nearly spent, or spent. One that may spend nothing at all is neither."""
        return [
            account
            for account, spent in self.committed.items()
            if (limit := limits.of(account)) and spent * 100 >= limit * limits.warn_at_percent
        ]


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
    """An account has not enough left. Nothing was held. `opens_at` is None for a run's: it does not open again."""

    def __init__(self, account: Account, day: str, limit: int, committed: int, wanted: int, now: datetime) -> None:
        self.account = account
        self.scope = account.scope
        self.limit_usd_micro = limit
        self.opens_at = _opens_at(account.period, day)
        reason = (
            "it is 0, so nothing may be spent"
            if limit == 0
            else f"${usd(max(0, limit - committed))} of ${usd(limit)} are left and this call may cost up to ${usd(wanted)}"
        )
        raised = "a person raises it in policies/budgets.yaml"
        opens = (
            f"Begin another run, or have it split into smaller ones; it opens when {raised}."
            if self.opens_at is None
            else f"It opens again at {self.opens_at.isoformat()}, or when {raised}."
        )
        back = "" if day == day_of(now) else f" (The clock says {day_of(now)}, but money was spent on {day} already.)"
        super().__init__(f"{_spoken(account)} does not allow this call: {reason}. {opens}{back}")


def stand(transaction: Transaction, team: str, member: str, run: str, now: datetime) -> Standing:
    """What the call's accounts have committed. From here to the transaction's end nobody else reserves."""
    rows = rows_of(transaction)
    day: str = rows.execute(_ADVANCE, {"day": day_of(now)}).fetchone()[0]
    payers = accounts(team, member, run, day)
    company, of_team, of_member = scopes(team, member)
    wanted = {"company": company, "team": of_team, "member": of_member, "run": payers[-1].scope}
    found = rows.execute(_STANDING, wanted | {"day": day, "month": day[:7]})
    known = {Account(scope, when): int(micro) for scope, when, micro in found}
    return Standing(day, {account: known.get(account, 0) for account in payers})


def reserve(
    transaction: Transaction, hold: Hold, limits: Limits, now: datetime, standing: Standing | None = None
) -> Standing:
    """Holds the amount in each of its accounts, or raises `OverBudget` and holds nothing; returns how they stood before.

    `standing` is what `stand` gave in this very transaction, if it was asked already.
    """
    if hold.usd_micro < 0:
        raise ValueError("a reservation cannot be negative")
    rows = rows_of(transaction)
    standing = standing or stand(rows, hold.team, hold.member, hold.run, now)
    for account, spent in standing.committed.items():
        limit = limits.of(account)
        if limit is not None and (limit == 0 or spent + hold.usd_micro > limit):
            raise OverBudget(account, standing.day, limit, spent, hold.usd_micro, now)
    if hold.usd_micro:
        _add(rows, list(standing.committed), hold.usd_micro)
    fields = {key: value for key, value in vars(hold).items() if key != "lifetime"}
    times = {"reserved_at": utc_text(now), "expires_at": utc_text(now + hold.lifetime), "settled_at": None}
    rows.execute(_INSERT_RESERVATION, fields | {"day": standing.day} | times)
    return standing


def settle(transaction: Transaction, reservation: str, spent_usd_micro: int, now: datetime) -> int:
    """Replaces the held amount by what was spent, once, on the day it was held; returns what now counts.

    A reservation settled after it expired gives nothing back. `LookupError` if it was settled before or never made.
    """
    rows = rows_of(transaction)
    found = rows.execute(_CLOSE_RESERVATION, {"reservation": reservation, "now": utc_text(now)}).fetchone()
    if found is None:
        raise LookupError(f"reservation {reservation} is not open; it was settled before or never made")
    team, member, run, day, held, expires = found
    counts = max(spent_usd_micro, held) if now >= datetime.fromisoformat(expires) else spent_usd_micro
    if difference := counts - held:
        _add(rows, accounts(team, member, run, day), difference)
    return counts


def first_warnings(transaction: Transaction, near: Sequence[Account], day: str) -> list[Account]:
    """Those of the accounts that nobody was warned of on this day; from now on somebody was."""
    rows = rows_of(transaction)
    found: list[Account] = []
    for account in near:
        wanted = {"scope": account.scope, "period": account.period, "day": day}
        if rows.execute(_WARN, wanted).fetchone() is not None:
            found.append(account)
    return found


def committed(session: Session, scope: str, now: datetime, period: Literal["day", "month"] = "day") -> int:
    """Micro-dollars spent and held by the scope on this day, or in its month."""
    day = current_day(session, now)
    when = day if period == "day" else day[:7]
    query = select(BudgetRow.committed_usd_micro).where(BudgetRow.scope == scope, BudgetRow.day == when)
    return session.scalar(query) or 0


def current_day(session: Session, now: datetime) -> str:
    """The UTC day that pays now: today, or the latest day there ever was if the clock was turned back."""
    return max(day_of(now), session.scalar(text("SELECT day FROM budget_clock")) or "")


class Expired(NamedTuple):
    """A reservation whose call never came back."""

    id: str
    team: str
    member: str
    day: str
    model: str
    purpose: str
    run: str
    usd_micro: int
    reserved_at: datetime


def expired(transaction: Transaction, now: datetime, most: int = 500) -> list[Expired]:
    """The ones that expired first, first."""
    found = rows_of(transaction).execute(_EXPIRED, {"now": utc_text(now), "most": most}).fetchall()
    return [Expired._make((*row[:-1], datetime.fromisoformat(row[-1]))) for row in found]


def scopes(team: str, member: str) -> tuple[str, str, str]:
    """The scopes a member's call falls under by the day and the month."""
    return (COMPANY, f"team:{team}", f"member:{team}/{member}")


def accounts(team: str, member: str, run: str, day: str) -> list[Account]:
    """Every account a call falls under."""
    found = [Account(scope, when) for when in (day, day[:7]) for scope in scopes(team, member)]
    if run != NO_RUN:
        # Two runs of equal name in two teams are two runs: no team spends another's. Hashed, since names may be long.
        name = hashlib.sha256(run.encode()).hexdigest()[:32]
        found.append(Account(f"run:{team}/{name}", _RUN))
    return found


def day_of(now: datetime) -> str:
    return now.astimezone(UTC).date().isoformat()


def usd(micro: int) -> str:
    """Micro-dollars as a dollar amount with at least two decimals: 1500 -> `0.0015`."""
    whole, rest = divmod(abs(micro), 1_000_000)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micro < 0 else ''}{whole}.{decimals}"


def _opens_at(period: Period, day: str) -> datetime | None:
    if period == "run":
        return None
    first = date.fromisoformat(day)
    following = (
        first + timedelta(days=1) if period == "day" else (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    )
    return datetime.combine(following, time(), UTC)


def _spoken(account: Account) -> str:
    if account.period == "run":
        return f"The budget of one run of team:{account.scope.removeprefix('run:').split('/')[0]}"
    return f"The {'daily' if account.period == 'day' else 'monthly'} budget of {account.scope}"


def _add(rows: Rows, payers: Sequence[Account], amount: int) -> None:
    parameters: dict[str, object] = {"amount": amount}
    for number, account in enumerate(payers):
        parameters |= {f"s{number}": account.scope, f"w{number}": account.when}
    rows.execute(_ADD[len(payers)], parameters)


def _adding(rows: int) -> str:
    values = ", ".join(f"(:s{number}, :w{number}, :amount)" for number in range(rows))
    insert_them = f"INSERT INTO budgets (scope, day, committed_usd_micro) VALUES {values} "  # noqa: S608 (placeholders only)
    return (
        insert_them + "ON CONFLICT (scope, day) "
        "DO UPDATE SET committed_usd_micro = budgets.committed_usd_micro + excluded.committed_usd_micro"
    )


_ADVANCE = Statement(
    "INSERT INTO budget_clock (id, day) VALUES (1, :day) ON CONFLICT (id) DO UPDATE SET day = "
    "CASE WHEN excluded.day > budget_clock.day THEN excluded.day ELSE budget_clock.day END RETURNING day"
)
_STANDING = Statement(
    "SELECT scope, day, committed_usd_micro FROM budgets "
    "WHERE scope IN (:company, :team, :member, :run) AND day IN (:day, :month, 'run')"
)
_ADD = {rows: Statement(_adding(rows)) for rows in (6, 7)}
_WARN = Statement(
    "INSERT INTO budget_warnings (scope, period, day) VALUES (:scope, :period, :day) ON CONFLICT DO NOTHING RETURNING scope"
)
_INSERT_RESERVATION = insert_into(
    "reservations",
    (
        *("id", "team", "member", "day", "model", "purpose", "run", "usd_micro"),
        *("reserved_at", "expires_at", "settled_at"),
    ),
)
_EXPIRED = Statement(
    "SELECT id, team, member, day, model, purpose, run, usd_micro, reserved_at FROM reservations "
    "WHERE settled_at IS NULL AND expires_at <= :now ORDER BY expires_at LIMIT :most"
)
_CLOSE_RESERVATION = Statement(
    "UPDATE reservations SET settled_at = :now WHERE id = :reservation AND settled_at IS NULL "
    "RETURNING team, member, run, day, usd_micro, expires_at"
)
