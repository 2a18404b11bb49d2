"""Rate slots: at most so many new teams in a rolling window, however many ask at the same moment.

A slot is reserved by one conditional write in the transaction that records the intent, consumed by the merge and given back by a close.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import CursorResult, Integer, and_, delete, func, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from memory.change_tables import ScopeRow, SlotRow

NEW_TEAM = "new_team"


class NoRoom(Exception):
    """The window is full. `retry_at` is when the oldest merged team leaves it; None if only decisions make room."""

    def __init__(self, taken: int, at_most: int, retry_at: datetime | None) -> None:
        when = f"; there is room again at {retry_at:%Y-%m-%d %H:%M} UTC" if retry_at else ""
        super().__init__(
            f"{taken} of {at_most} new teams are merged or proposed{when}; approve or reject an open proposal, or wait"
            if at_most
            else "no new teams are allowed (policies/limits.yaml, new_teams.at_most is 0)"
        )
        self.taken, self.at_most, self.retry_at = taken, at_most, retry_at


def reserve(
    session: Session, key: str, at_most: int | None, window: timedelta, now: datetime, number: int | None = None
) -> bool:
    """Reserves a slot under `key`, unless `at_most` are taken: then `NoRoom`. False if the key holds one already.

    None is no limit. Taken are the reserved ones and those consumed less than `window` ago.
    """
    take_turns(session, NEW_TEAM)
    if (held := session.get(SlotRow, key)) is not None and held.state != "released":
        return False
    if held is not None:
        session.delete(held)
        session.flush()
    values = select(
        literal(key),
        literal(NEW_TEAM),
        literal("reserved"),
        literal(now, SlotRow.reserved_at.type),
        literal(number, Integer),
    )
    if at_most is not None:
        count = select(func.count()).select_from(SlotRow).where(_taken(now - window)).scalar_subquery()
        values = values.where(count < at_most)
    columns = ["key", "scope", "state", "reserved_at", "number"]
    # What was written is asked back: a driver's count of inserted rows is not to be had on both databases.
    if session.execute(insert(SlotRow).from_select(columns, values).returning(SlotRow.key)).first() is None:
        raise _no_room(session, at_most or 0, window, now)
    return True


def take_turns(session: Session, scope: str) -> None:
    """Makes every other transaction that wants this scope wait for the end of this one."""
    postgres = session.get_bind().dialect.name == "postgresql"
    row = (postgresql if postgres else sqlite).insert(ScopeRow).values(scope=scope, attempts=0)
    session.execute(row.on_conflict_do_nothing(index_elements=["scope"]))
    session.execute(update(ScopeRow).where(ScopeRow.scope == scope).values(attempts=ScopeRow.attempts + 1))


def numbered(session: Session, key: str, number: int) -> None:
    """Tells the slot its pull request."""
    session.execute(update(SlotRow).where(SlotRow.key == key).values(number=number))


def forget(session: Session, key: str) -> None:
    """There will be no change under this key: its place is free."""
    session.execute(delete(SlotRow).where(SlotRow.key == key, SlotRow.state == "reserved"))


def consume(session: Session, number: int, now: datetime) -> None:
    """The change was merged. Without a slot of its own (a person lifted the limit) it takes one all the same."""
    done = session.execute(
        update(SlotRow)
        .where(SlotRow.number == number, SlotRow.state == "reserved")
        .values(state="consumed", settled_at=now)
    )
    assert isinstance(done, CursorResult)
    if not done.rowcount:
        row = SlotRow(
            key=f"change:{number}", scope=NEW_TEAM, state="consumed", reserved_at=now, settled_at=now, number=number
        )
        session.merge(row)


def release(session: Session, number: int, now: datetime) -> None:
    """The change was closed: its place is free."""
    session.execute(
        update(SlotRow)
        .where(SlotRow.number == number, SlotRow.state == "reserved")
        .values(state="released", settled_at=now)
    )


def taken(session: Session, since: datetime) -> list[SlotRow]:
    """All reserved slots, and those consumed after `since`."""
    return list(session.scalars(select(SlotRow).where(_taken(since)).order_by(SlotRow.reserved_at, SlotRow.key)))


def _taken(since: datetime):
    consumed = and_(SlotRow.state == "consumed", SlotRow.settled_at > since)
    return and_(SlotRow.scope == NEW_TEAM, or_(SlotRow.state == "reserved", consumed))


def _no_room(session: Session, at_most: int, window: timedelta, now: datetime) -> NoRoom:
    rows = taken(session, now - window)
    leaving = sorted(row.settled_at + window for row in rows if row.settled_at is not None and row.state == "consumed")
    over = len(rows) - at_most
    return NoRoom(len(rows), at_most, leaving[over] if at_most and 0 <= over < len(leaving) else None)
