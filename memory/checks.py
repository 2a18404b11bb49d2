"""What the company remembers of running proposed code in a sandbox: a fact for each folder of exact bytes, so that none is run twice.

Functions take the caller's session and commit nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy.orm import Session

from memory.check_tables import CheckRunRow


@dataclass(frozen=True)
class RanCheck:
    path: str
    tree: str
    version: str
    passed: bool
    said: str
    sandbox: str
    seconds: float
    at: datetime


def known(session: Session, path: str, tree: str, version: str) -> RanCheck | None:
    row = session.get(CheckRunRow, (path, tree, version))
    return RanCheck(**{field.name: getattr(row, field.name) for field in fields(RanCheck)}) if row else None


def record(session: Session, ran: RanCheck) -> bool:
    """Keeps it; False if the same bytes were run before: the first word stands."""
    if known(session, ran.path, ran.tree, ran.version) is not None:
        return False
    session.add(CheckRunRow(**ran.__dict__))
    session.flush()
    return True
