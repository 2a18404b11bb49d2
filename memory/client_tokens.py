"""Tokens that a person made for clients of theirs. The ledger holds when each was issued and revoked, and nothing else does.

So none can be made, lengthened or brought back by writing to a table. The token itself is nowhere: only its id.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from memory import ledger
from memory.rows import Statement
from memory.session import Database
from memory.tables import AuditRow

ISSUED, REVOKED = "token.issue", "token.revoke"
_SUBJECT = "token:"


@dataclass(frozen=True)
class ClientToken:
    """A token as the ledger has it. `label` is what the person called it."""

    id: str
    label: str
    issued_at: datetime
    ends_at: datetime
    revoked_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.ends_at


def record_issued(session: Session, actor: str, token: ClientToken) -> None:
    detail = {"label": token.label, "ends_at": token.ends_at.isoformat(), "may": "talk with the CEO, read"}
    entry = ledger.Entry(actor, ISSUED, _SUBJECT + token.id, "issued", token.issued_at, detail)
    ledger.append(session, entry)


def record_revoked(session: Session, actor: str, id_: str, now: datetime) -> None:
    ledger.append(session, ledger.Entry(actor, REVOKED, _SUBJECT + id_, "revoked", now))


def is_open(database: Database, id_: str) -> bool:
    """Whether it was issued and not revoked; its end is written in itself. Asked at every request: two rows, by an index."""
    return database.look(_IS_OPEN, {"subject": _SUBJECT + id_}) is not None


def every(session: Session) -> list[ClientToken]:
    """All that were ever issued, oldest first."""
    query = select(AuditRow).where(AuditRow.action.in_((ISSUED, REVOKED))).order_by(AuditRow.seq)
    rows = list(session.scalars(query))
    revoked = {row.subject: row.at for row in rows if row.action == REVOKED}
    return [_issued(row, revoked.get(row.subject)) for row in rows if row.action == ISSUED]


def _issued(row: AuditRow, revoked_at: datetime | None) -> ClientToken:
    detail = json.loads(row.detail)
    ends_at = datetime.fromisoformat(detail["ends_at"])
    return ClientToken(row.subject.removeprefix(_SUBJECT), detail["label"], row.at, ends_at, revoked_at)


_IS_OPEN = Statement(
    "SELECT 1 FROM audit WHERE subject = :subject AND action = 'token.issue'"
    " AND NOT EXISTS (SELECT 1 FROM audit WHERE subject = :subject AND action = 'token.revoke')"
)
