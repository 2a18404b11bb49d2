"""Rate slots: at most so many changes of some kinds in a window, however many ask at the same moment.

A slot is reserved in the transaction that records the intent, consumed by the merge and given back by a close. Reservations take
turns, so that what one counts is what the next one finds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CursorResult, and_, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from memory.change_tables import ScopeRow, SlotRow

#: All reservations wait for each other: one rate may count several kinds, and one kind be counted by several rates.
_TURNS = "rates"


@dataclass(frozen=True)
class Room:
    """A rate at one moment: how many slots of these kinds (of one requester, or of all) may be taken since `since`."""

    name: str
    at_most: int
    kinds: tuple[str, ...]
    since: datetime
    #: When a slot that was consumed then counts no longer.
    frees: Callable[[datetime], datetime]
    requester: str | None = None
    open_ones: bool = True
    #: Whose slots are not counted.
    exempt: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """What to reserve: the change's key, kind, requester and, if it is open already, number."""

    key: str
    kind: str
    requester: str | None = None
    number: int | None = None


class NoRoom(Exception):
    """The window is full. `retry_at` is when enough merged changes leave it; None if only decisions make room."""

    def __init__(self, room: Room, taken: int, retry_at: datetime | None) -> None:
        what = ", ".join(kind.replace("_", " ") + "s" for kind in room.kinds)
        when = f"; there is room again at {retry_at:%Y-%m-%d %H:%M} UTC" if retry_at else ""
        super().__init__(
            f"{taken} of {room.at_most} {what} are merged or proposed{when}; approve or reject an open proposal, or wait"
            if room.at_most
            else f"no {what} are allowed (policies/limits.yaml, {room.name}.at_most is 0)"
        )
        self.room, self.taken, self.retry_at = room, taken, retry_at


def reserve(session: Session, place: Place, rooms: Sequence[Room], now: datetime) -> bool:
    """Reserves the place, unless one of the rooms is full: then `NoRoom`. False if its key holds one already."""
    take_turns(session, _TURNS)
    if (held := session.get(SlotRow, place.key)) is not None and held.state != "released":
        return False
    for room in rooms:
        rows = list(session.scalars(select(SlotRow).where(_in(room))))
        if len(rows) >= room.at_most:
            raise NoRoom(room, len(rows), _retry_at(room, rows))
    if held is not None:
        session.delete(held)
        session.flush()
    row = SlotRow(
        key=place.key,
        scope=place.kind,
        state="reserved",
        reserved_at=now,
        number=place.number,
        requester=place.requester,
    )
    session.add(row)
    session.flush()
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


def consume(session: Session, number: int, kind: str, requester: str | None, now: datetime) -> None:
    """The change was merged, as one of this kind, whatever it was when it took its slot.

    Without a slot of its own (nothing counted its kind, or a person lifted the limit) it takes one.
    """
    done = session.execute(
        update(SlotRow)
        .where(SlotRow.number == number, SlotRow.state == "reserved")
        .values(state="consumed", settled_at=now, scope=kind)
    )
    assert isinstance(done, CursorResult)
    if not done.rowcount:
        row = SlotRow(
            key=f"change:{number}",
            scope=kind,
            state="consumed",
            reserved_at=now,
            settled_at=now,
            number=number,
            requester=requester,
        )
        session.merge(row)


def release(session: Session, number: int, now: datetime) -> None:
    """The change was closed, or is of another kind now: its place is free."""
    session.execute(
        update(SlotRow)
        .where(SlotRow.number == number, SlotRow.state == "reserved")
        .values(state="released", settled_at=now)
    )


def taken(session: Session, since: datetime) -> list[SlotRow]:
    """All reserved slots, and those consumed after `since`, of every kind."""
    consumed = and_(SlotRow.state == "consumed", SlotRow.settled_at > since)
    query = select(SlotRow).where(or_(SlotRow.state == "reserved", consumed))
    return list(session.scalars(query.order_by(SlotRow.reserved_at, SlotRow.key)))


def _in(room: Room):
    consumed = and_(SlotRow.state == "consumed", SlotRow.settled_at > room.since)
    counted = or_(SlotRow.state == "reserved", consumed) if room.open_ones else consumed
    mine = [] if room.requester is None else [SlotRow.requester == room.requester]
    free = or_(SlotRow.requester.is_(None), SlotRow.requester.not_in(room.exempt))
    return and_(SlotRow.scope.in_(room.kinds), counted, free, *mine)


def _retry_at(room: Room, rows: Sequence[SlotRow]) -> datetime | None:
    leaving = sorted(room.frees(row.settled_at) for row in rows if row.settled_at is not None)
    over = len(rows) - room.at_most
    return leaving[over] if room.at_most and 0 <= over < len(leaving) else None
