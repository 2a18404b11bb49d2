"""The audit ledger: a hash chain, appended in the transaction of the act it records.

Each row's hash covers the previous row's hash and everything the row says. Triggers refuse updates, deletes, and any row that is
not the next in sequence. A chain alone cannot show that its end was cut off, so its head is anchored elsewhere (see `anchors`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from memory.rows import Rows, Statement, Transaction, insert_into, rows_of
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


@dataclass
class Tail:
    """What lies after the last anchor, where only the chain itself speaks for the rows: how many, of when, and which acts."""

    after: int
    rows: int = 0
    first_at: str | None = None
    last_at: str | None = None
    actions: Counter[str] = field(default_factory=Counter[str])

    def add(self, at: str, action: str) -> None:
        self.rows += 1
        self.first_at = self.first_at or at
        self.last_at = at
        self.actions[action] += 1


@dataclass(frozen=True)
class Report:
    """What verifying found. `first_bad` is the sequence number of the first row that does not hold, with the reason."""

    rows: int
    head: Head
    first_bad: int | None = None
    reason: str | None = None
    #: The rows that hold and that no anchor vouches for.
    tail: Tail = field(default_factory=lambda: Tail(0), compare=False)

    @property
    def ok(self) -> bool:
        return self.first_bad is None


def append(transaction: Transaction, entry: Entry) -> Head:
    """Adds the entry at the end of the chain, inside the caller's transaction."""
    rows = rows_of(transaction)
    hold(rows)
    last = rows.execute(_LAST).fetchone()
    seq, previous = (last[0] + 1, last[1]) if last else (1, GENESIS)
    detail = canonical(entry.detail)
    if len(detail) > _MAX_DETAIL:
        raise ValueError(f"an audit entry's detail may have {_MAX_DETAIL} characters, this one has {len(detail)}")
    body = (seq, utc_text(entry.at), entry.actor[:120], entry.action, entry.subject[:200], entry.outcome, detail)
    hash_ = _hash_of(previous, *body)
    rows.execute(_INSERT, dict(zip(_COLUMNS, (*body, previous, hash_), strict=True)))
    return Head(seq, hash_)


def hold(rows: Rows) -> None:
    """Serialises appends until the transaction ends. On SQLite its being a writing transaction has done so."""
    if not rows.is_sqlite and not rows.holds_ledger:
        rows.execute(_LOCK, {"key": _APPEND_LOCK})
    rows.holds_ledger = True


def head(session: Session) -> Head:
    """The last row's number and hash; (0, zeros) for an empty ledger."""
    last = session.execute(select(AuditRow.seq, AuditRow.hash).order_by(AuditRow.seq.desc()).limit(1)).first()
    return Head(last.seq, last.hash) if last else Head(0, GENESIS)


def latest(session: Session, most: int) -> list[AuditRow]:
    """The last rows, oldest first."""
    rows = session.scalars(select(AuditRow).order_by(AuditRow.seq.desc()).limit(most))
    return sorted(rows, key=lambda row: row.seq)


def verify(session: Session, anchors: tuple[Head, ...] = ()) -> Report:
    """Recomputes the chain and compares it with anchored heads; names the first row that does not hold.

    What lies after the last anchor is counted to the end in any case.
    """
    expected = {anchor.seq: anchor.hash for anchor in anchors}
    tail = Tail(max(expected, default=0))
    last_seq, last_hash = 0, GENESIS
    broken: Report | None = None
    for seq, at, actor, action, subject, outcome, detail, previous, hash_ in _rows(session):
        if seq > tail.after:
            tail.add(at, action)
        if broken is not None:
            continue
        reason = _fault(seq, previous, last_seq, last_hash)
        if reason is None and hash_ != _hash_of(previous, seq, at, actor, action, subject, outcome, detail):
            reason = "its contents do not match its hash"
        if reason is None and expected.get(seq, hash_) != hash_:
            reason = "it differs from the head that was anchored in Git"
        if reason:
            broken = Report(last_seq, Head(last_seq, last_hash), min(seq, last_seq + 1), reason, tail)
        else:
            last_seq, last_hash = seq, hash_
    if broken is not None:
        return broken
    head_ = Head(last_seq, last_hash)
    if missing := sorted(seq for seq in expected if seq > last_seq):
        reason = f"the ledger ends at row {last_seq}, but row {missing[-1]} was anchored"
        return Report(last_seq, head_, last_seq + 1, reason, tail)
    return Report(last_seq, head_, tail=tail)


def _hash_of(*body: str | int) -> str:
    """SHA-256 over the row's canonical JSON, previous hash first: `canonical(body)`, put together at a third of the time."""
    parts = [_quoted(part) if isinstance(part, str) else str(part) for part in body]
    return hashlib.sha256(f"[{','.join(parts)}]".encode()).hexdigest()


#: One text for one value, on any machine. Built once: `json.dumps` would make a new encoder a call.
canonical = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=str
).encode


_quoted = json.encoder.encode_basestring_ascii

#: What the hash covers beside the previous hash, in this order; then the two hashes.
_COLUMNS = ("seq", "at", "actor", "action", "subject", "outcome", "detail", "previous", "hash")
_LOCK = Statement("SELECT pg_advisory_xact_lock(:key)")
_LAST = Statement("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
_INSERT = insert_into("audit", _COLUMNS)
_ALL = text(
    "SELECT seq, at, actor, action, subject, outcome, detail, previous, hash FROM audit ORDER BY seq"
).execution_options(yield_per=5000)


def _rows(session: Session) -> Iterator[tuple[int, str, str, str, str, str, str, str, str]]:
    """Every row as it is stored, its time as the very characters that were hashed; a few thousand in memory at once."""
    for row in session.execute(_ALL):
        yield tuple(row)


def _fault(seq: int, previous: str, last_seq: int, last_hash: str) -> str | None:
    if seq != last_seq + 1:
        return f"row {last_seq + 1} is missing"
    return None if previous == last_hash else "it does not follow from the row before it"


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
