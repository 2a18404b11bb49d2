"""Whose a change is, as the merge desk found it: of every one that was judged, whether or not the proposer knows of it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from memory.change_tables import ChangeEndRow, IntentRow, SeenChangeRow


@dataclass(frozen=True)
class Seen:
    """A change as it was last judged. `touched`: an agent's change that carries a commit of somebody else."""

    number: int
    author: str
    requester: str
    opened_at: datetime
    head: str
    touched: bool = False


def seen(session: Session, number: int) -> Seen | None:
    row = session.get(SeenChangeRow, number)
    return Seen(**{field.name: getattr(row, field.name) for field in fields(Seen)}) if row else None


def saw(session: Session, change: Seen) -> None:
    """Writes it down, unless that is what is known. What was touched once stays touched, whatever is pushed over it."""
    known = seen(session, change.number)
    kept = replace(change, touched=change.touched or (known is not None and known.touched))
    if kept != known:
        session.merge(SeenChangeRow(**kept.__dict__))
        session.flush()


def older_open(session: Session, requester: str, before: int | None) -> int:
    """How many open changes this requester had opened, by whatever way: those numbered below `before`, or all of them.

    A person counts as the same whether they asked (`person:<login>`) or pushed (`<login>`).
    """
    bare = requester.removeprefix("person:")
    names, ended = (requester, bare, f"person:{bare}"), select(ChangeEndRow.number)
    asked = select(IntentRow.number).where(
        IntentRow.requester.in_(names), or_(IntentRow.number.is_(None), IntentRow.number.not_in(ended))
    )
    found = select(SeenChangeRow.number).where(SeenChangeRow.requester.in_(names), SeenChangeRow.number.not_in(ended))
    numbers = {number for number in session.scalars(asked) if number is not None} | set(session.scalars(found))
    return len(numbers) if before is None else sum(1 for number in numbers if number < before)
