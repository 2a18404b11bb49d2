"""The health monitor's memory: readings, and what people were told of which cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from memory.watch_tables import AlertMessageRow, AlertRow, ReadingRow

#: Rows kept at the most; a year of quiet, or some hours of a storm.
READINGS_KEPT = 5000
ALERTS_KEPT = 1000
MESSAGES_KEPT = 1000


@dataclass(frozen=True)
class Reading:
    """One resource as it was found; see `ReadingRow`."""

    resource: str
    level: str
    value: float | None
    text: str


@dataclass(frozen=True)
class Cause:
    """Something a person should be told. `key` names it the same way each time it is seen."""

    key: str
    level: str
    title: str
    text: str


@dataclass(frozen=True)
class Standing:
    """A cause as it is remembered; see `AlertRow`."""

    cause: str
    level: str
    title: str
    text: str
    since: datetime
    seen_at: datetime
    told_at: datetime | None
    outcome: str | None
    cleared_at: datetime | None = None
    over_told_at: datetime | None = None


def note_readings(session: Session, readings: Sequence[Reading], now: datetime, at_least_every: timedelta) -> int:
    """Keeps what changed its level, and what was not written for `at_least_every`; returns how many rows were written."""
    written = 0
    for reading in readings:
        query = (
            select(ReadingRow).where(ReadingRow.resource == reading.resource).order_by(ReadingRow.id.desc()).limit(1)
        )
        last = session.scalars(query).first()
        if last is None or last.level != reading.level or now - last.at >= at_least_every:
            session.add(ReadingRow(at=now, **vars(reading)))
            written += 1
    session.flush()
    _keep(session, ReadingRow, READINGS_KEPT)
    return written


def changes_of_level(session: Session, most: int) -> list[ReadingRow]:
    """The latest rows, newest first."""
    return list(session.scalars(select(ReadingRow).order_by(ReadingRow.id.desc()).limit(most)))


def note_causes(session: Session, causes: Sequence[Cause], now: datetime, gone_for: timedelta) -> None:
    """Writes down which causes are there now. One that was gone for `gone_for` is cleared; a cleared one that is back is new."""
    for cause in causes:
        row = session.get(AlertRow, cause.key)
        if row is None or row.cleared_at is not None:
            if row is not None:
                session.delete(row)
                session.flush()
            row = AlertRow(cause=cause.key, since=now)
            session.add(row)
        row.level, row.title, row.text, row.seen_at = cause.level, cause.title[:200], cause.text, now
    session.flush()
    present = {cause.key for cause in causes}
    for row in session.scalars(select(AlertRow).where(AlertRow.cleared_at.is_(None))):
        if row.cause not in present and now - row.seen_at >= gone_for:
            row.cleared_at = now
    session.flush()
    _forget_cleared(session)


def standing(session: Session) -> list[Standing]:
    """The causes that are there, or only just gone, oldest first."""
    query = select(AlertRow).where(AlertRow.cleared_at.is_(None)).order_by(AlertRow.since, AlertRow.cause)
    return [_standing(row) for row in session.scalars(query)]


def cleared(session: Session, since: datetime) -> list[Standing]:
    """The causes that were told and are gone since then, oldest first."""
    query = select(AlertRow).where(AlertRow.cleared_at >= since, AlertRow.told_at.is_not(None))
    return [_standing(row) for row in session.scalars(query.order_by(AlertRow.cleared_at, AlertRow.cause))]


def claim(session: Session, causes: Sequence[str], over: Sequence[str], now: datetime) -> int:
    """Marks the causes, and those that are `over`, as told before anything is sent: after a kill nobody is told twice.

    Returns the message's number.
    """
    session.execute(update(AlertRow).where(AlertRow.cause.in_(causes)).values(told_at=now, outcome="being sent"))
    session.execute(update(AlertRow).where(AlertRow.cause.in_(over)).values(over_told_at=now, outcome="being sent"))
    message = AlertMessageRow(at=now, causes=len(causes) + len(over))
    session.add(message)
    session.flush()
    _keep(session, AlertMessageRow, MESSAGES_KEPT)
    return message.id


def told(session: Session, message: int, causes: Sequence[str], outcome: str) -> None:
    """What came of the message."""
    session.execute(update(AlertRow).where(AlertRow.cause.in_(causes)).values(outcome=outcome[:200]))
    session.execute(update(AlertMessageRow).where(AlertMessageRow.id == message).values(outcome=outcome[:200]))


def messages_since(session: Session, since: datetime) -> int:
    return session.scalar(select(func.count(AlertMessageRow.id)).where(AlertMessageRow.at > since)) or 0


def _standing(row: AlertRow) -> Standing:
    told = (row.told_at, row.outcome, row.cleared_at, row.over_told_at)
    return Standing(row.cause, row.level, row.title, row.text, row.since, row.seen_at, *told)


def _keep(session: Session, table: type[ReadingRow] | type[AlertMessageRow], most: int) -> None:
    """Deletes the oldest rows beyond `most`."""
    newest = session.scalar(select(func.max(table.id))) or 0
    session.execute(delete(table).where(table.id <= newest - most))


def _forget_cleared(session: Session) -> None:
    query = select(AlertRow.cause).where(AlertRow.cleared_at.is_not(None)).order_by(AlertRow.seen_at.desc())
    old = session.scalars(query.offset(ALERTS_KEPT)).all()
    if old:
        session.execute(delete(AlertRow).where(AlertRow.cause.in_(old)))
