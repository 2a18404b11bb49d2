"""The audit ledger: a hash chain, appended in the transaction of the act it records.

Each row's hash covers the previous row's hash and everything the row says. Triggers refuse updates, deletes, and any row that is
not the next in sequence. A chain alone cannot show that its end was cut off, so its head is anchored elsewhere (see `anchors`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from memory.tables import AuditRow, utc_text

GENESIS = "0" * 64
#: Serialises appends on Postgres; SQLite's write transaction already does. Any constant will do.
_APPEND_LOCK = 7_070_001
_MAX_DETAIL = 64_000


@dataclass(frozen=True)
class Entry:
    """Who did what to which subject, and how it ended. `detail` holds JSON values and no secret."""

    actor: str
    action: str
    subject: str
    outcome: str
    at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Head:
    seq: int
    hash: str


@dataclass(frozen=True)
class Report:
    """What verifying found. `first_bad` is the sequence number of the first row that does not hold, with the reason."""

    rows: int
    head: Head
    first_bad: int | None = None
    reason: str | None = None

    @property
    def ok(self) -> bool:
        return self.first_bad is None


def append(session: Session, entry: Entry) -> Head:
    """Adds the entry at the end of the chain, inside the caller's transaction."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _APPEND_LOCK})
    last = head(session)
    detail = canonical(entry.detail)
    if len(detail) > _MAX_DETAIL:
        raise ValueError(f"an audit entry's detail may have {_MAX_DETAIL} characters, this one has {len(detail)}")
    row = AuditRow(
        seq=last.seq + 1,
        at=entry.at,
        actor=entry.actor[:120],
        action=entry.action,
        subject=entry.subject[:200],
        outcome=entry.outcome,
        detail=detail,
        previous=last.hash,
        hash="",
    )
    row.hash = row_hash(row)
    session.add(row)
    session.flush()
    return Head(row.seq, row.hash)


def head(session: Session) -> Head:
    """The last row's number and hash; (0, zeros) for an empty ledger."""
    last = session.execute(select(AuditRow.seq, AuditRow.hash).order_by(AuditRow.seq.desc()).limit(1)).first()
    return Head(last.seq, last.hash) if last else Head(0, GENESIS)


def latest(session: Session, most: int) -> list[AuditRow]:
    """The last rows, oldest first."""
    rows = session.scalars(select(AuditRow).order_by(AuditRow.seq.desc()).limit(most))
    return sorted(rows, key=lambda row: row.seq)


def verify(session: Session, anchors: tuple[Head, ...] = ()) -> Report:
    """Recomputes the chain and compares it with anchored heads; names the first row that does not hold."""
    expected = {anchor.seq: anchor.hash for anchor in anchors}
    last = Head(0, GENESIS)
    for row in _rows(session):
        reason = _fault(row, last, expected.get(row.seq))
        if reason:
            return Report(last.seq, last, row.seq, reason)
        last = Head(row.seq, row.hash)
    if missing := sorted(seq for seq in expected if seq > last.seq):
        return Report(
            last.seq, last, last.seq + 1, f"the ledger ends at row {last.seq}, but row {missing[-1]} was anchored"
        )
    return Report(last.seq, last)


def row_hash(row: AuditRow) -> str:
    """SHA-256 over the row's canonical JSON, previous hash included."""
    body = [row.previous, row.seq, utc_text(row.at), row.actor, row.action, row.subject, row.outcome, row.detail]
    return hashlib.sha256(canonical(body).encode()).hexdigest()


def canonical(value: object) -> str:
    """One text for one value, on any machine."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=str)


def _rows(session: Session) -> Iterator[AuditRow]:
    yield from session.scalars(select(AuditRow).order_by(AuditRow.seq).execution_options(yield_per=2000))


def _fault(row: AuditRow, last: Head, anchored: str | None) -> str | None:
    if row.seq != last.seq + 1:
        return f"row {last.seq + 1} is missing"
    if row.previous != last.hash:
        return "it does not follow from the row before it"
    if row.hash != row_hash(row):
        return "its contents do not match its hash"
    if anchored is not None and anchored != row.hash:
        return "it differs from the head that was anchored in Git"
    return None


def install_guards(connection: Connection) -> None:
    """Creates the triggers that make the table append-only and gapless. Part of the first migration."""
    for statement in _SQLITE_GUARDS if connection.dialect.name == "sqlite" else _POSTGRES_GUARDS:
        connection.execute(text(statement))


_SQLITE_GUARDS = (
    """CREATE TRIGGER IF NOT EXISTS audit_no_update BEFORE UPDATE ON audit
       BEGIN SELECT RAISE(ABORT, 'the audit ledger is append-only'); END""",
    """CREATE TRIGGER IF NOT EXISTS audit_no_delete BEFORE DELETE ON audit
       BEGIN SELECT RAISE(ABORT, 'the audit ledger is append-only'); END""",
    """CREATE TRIGGER IF NOT EXISTS audit_next_only BEFORE INSERT ON audit
       WHEN NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM audit)
       BEGIN SELECT RAISE(ABORT, 'the audit ledger takes only the next row'); END""",
)

_POSTGRES_GUARDS = (
    """CREATE OR REPLACE FUNCTION audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
         IF TG_OP = 'INSERT' THEN
           IF NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM audit) THEN
             RAISE EXCEPTION 'the audit ledger takes only the next row';
           END IF;
           RETURN NEW;
         END IF;
         RAISE EXCEPTION 'the audit ledger is append-only';
       END $$""",
    "DROP TRIGGER IF EXISTS audit_append_only ON audit",
    """CREATE TRIGGER audit_append_only BEFORE INSERT OR UPDATE OR DELETE ON audit
       FOR EACH ROW EXECUTE FUNCTION audit_guard()""",
    "DROP TRIGGER IF EXISTS audit_no_truncate ON audit",
    """CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
       FOR EACH STATEMENT EXECUTE FUNCTION audit_guard()""",
)
