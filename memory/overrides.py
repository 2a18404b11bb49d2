"""Overrides: a person's word that some rules need not hold for one commit. The ledger holds them, and nothing else does.

So an override cannot be made, lengthened or taken back by writing to a table: the chain and its triggers are in the way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from memory import ledger
from memory.tables import AuditRow

ACTION = "change.override"
_PERSON = "person:"


@dataclass(frozen=True)
class Given:
    """An override as the ledger has it. `who` is a login."""

    number: int
    who: str
    head: str
    rules: tuple[str, ...]
    reason: str
    at: datetime
    until: datetime
    seq: int = 0


def record(session: Session, given: Given) -> int:
    """Appends it to the ledger; the row's number."""
    detail = {
        "head": given.head,
        "rules": list(given.rules),
        "reason": given.reason,
        "until": given.until.isoformat(),
    }
    entry = ledger.Entry(f"{_PERSON}{given.who}", ACTION, f"change:{given.number}", "overridden", given.at, detail)
    return ledger.append(session, entry).seq


def of_change(session: Session, number: int) -> list[Given]:
    """All that were ever given for this change, oldest first. Only a person's row is one."""
    query = (
        select(AuditRow)
        .where(AuditRow.subject == f"change:{number}", AuditRow.action == ACTION, AuditRow.actor.startswith(_PERSON))
        .order_by(AuditRow.seq)
    )
    return [_given(number, row) for row in session.scalars(query)]


def _given(number: int, row: AuditRow) -> Given:
    detail = json.loads(row.detail)
    return Given(
        number=number,
        who=row.actor.removeprefix(_PERSON),
        head=detail["head"],
        rules=tuple(detail["rules"]),
        reason=detail["reason"],
        at=row.at,
        until=datetime.fromisoformat(detail["until"]),
        seq=row.seq,
    )
