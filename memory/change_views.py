"""Changes, listed."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from memory.change_tables import IntentRow


def recent_numbers(session: Session, most: int) -> list[int]:
    """The pull requests that agents asked for last, oldest first."""
    query = select(IntentRow.number).where(IntentRow.number.is_not(None)).order_by(IntentRow.number.desc()).limit(most)
    return sorted(number for number in session.scalars(query) if number is not None)
