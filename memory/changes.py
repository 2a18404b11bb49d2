"""What the company remembers of changes: intents, verdicts, ends and verified trees.

Functions take the caller's session and commit nothing. What state a change is in follows from these: see `change_state`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from memory import slots
from memory.change_tables import ChangeEndRow, IntentRow, VerdictRow, VerifiedTreeRow


@dataclass(frozen=True)
class Intent:
    """A change somebody asked for. `payload` holds what it takes to make it again (JSON values)."""

    key: str
    kind: str
    subject: str
    requester: str
    on_behalf_of: str | None
    gap: str
    rationale: str
    branch: str
    payload: Mapping[str, Any]
    at: datetime
    number: int | None = None


class NameTaken(Exception):
    """Another open change is about the same team already."""

    def __init__(self, subject: str, number: int | None) -> None:
        which = f"change {number}" if number else "a proposal that is being made"
        super().__init__(f"{which} is about '{subject}' already; wait for its end, or choose another name")
        self.number = number


def intent(session: Session, key: str) -> Intent | None:
    row = session.get(IntentRow, key)
    return _intent(row) if row else None


def intent_of(session: Session, number: int) -> Intent | None:
    """The intent behind a pull request; None if it was opened by hand."""
    row = session.scalars(select(IntentRow).where(IntentRow.number == number)).first()
    return _intent(row) if row else None


def intent_on(session: Session, branch: str) -> Intent | None:
    """The intent that named this branch, whether or not its number was recorded yet."""
    row = session.scalars(select(IntentRow).where(IntentRow.branch == branch)).first()
    return _intent(row) if row else None


def unfinished(session: Session) -> list[Intent]:
    """Intents whose pull request is not known to be open, oldest first."""
    rows = session.scalars(select(IntentRow).where(IntentRow.number.is_(None)).order_by(IntentRow.at))
    return [_intent(row) for row in rows]


def open_intents(session: Session) -> list[Intent]:
    """Intents whose pull request is open, as far as is known, in the order of their numbers."""
    rows = session.scalars(
        select(IntentRow).where(IntentRow.number.is_not(None), _has_not_ended()).order_by(IntentRow.number)
    )
    return [_intent(row) for row in rows]


def record_intent(session: Session, wanted: Intent) -> Intent:
    """The intent under this key: `wanted`, or the one that was there first. `NameTaken` if its subject is being changed.

    For a new team, reserve its slot in the same transaction, before this: the reservation makes two writers take turns.
    """
    if (row := session.get(IntentRow, wanted.key)) is not None:
        return _intent(row)
    if (other := _open_about(session, wanted.subject, wanted.kind)) is not None:
        raise NameTaken(wanted.subject, other.number)
    session.add(IntentRow(**{**wanted.__dict__, "payload": dict(wanted.payload)}))
    session.flush()
    return wanted


def opened(session: Session, key: str, number: int) -> bool:
    """Records the pull request of an intent and of its slot; False if it was recorded before."""
    row = session.get(IntentRow, key)
    if row is None or row.number is not None:
        return False
    row.number = number
    slots.numbered(session, key, number)
    session.flush()
    return True


def withdraw(session: Session, key: str) -> bool:
    """Forgets an intent that never became a pull request, and frees its slot; False if there is none to forget."""
    row = session.get(IntentRow, key)
    if row is None or row.number is not None:
        return False
    session.delete(row)
    slots.forget(session, key)
    session.flush()
    return True


def not_ended(session: Session) -> list[int]:
    """Pull requests that have been judged or intended, and whose end is not recorded."""
    ended = set(session.scalars(select(ChangeEndRow.number)))
    known = set(session.scalars(select(VerdictRow.number).distinct()))
    known |= {number for number in session.scalars(select(IntentRow.number)) if number is not None}
    return sorted(known - ended)


@dataclass(frozen=True)
class Judged:
    """A verdict with exactly what it is of. `verdict` is the tree as JSON values."""

    number: int
    head: str
    base: str
    policy_tree: str
    kind: str
    outcome: str
    verdict: Mapping[str, Any]
    at: datetime
    #: The hash of the facts it was judged by, and the ledger's last row when they were read.
    facts_sha: str | None = None
    ledger_seq: int | None = None


def record_verdict(session: Session, judged: Judged) -> bool:
    """Appends the verdict; False, and nothing written, if the latest one of this change says the same of the same."""
    last = last_verdict(session, judged.number)
    if last is not None and _same(last, judged):
        return False
    session.add(VerdictRow(**{**judged.__dict__, "verdict": dict(judged.verdict)}))
    session.flush()
    return True


def first_judged(session: Session, number: int, head: str) -> datetime | None:
    """When this head of the change was first judged; None if it never was."""
    of = (VerdictRow.number == number, VerdictRow.head == head)
    return session.scalars(select(VerdictRow.at).where(*of).order_by(VerdictRow.id).limit(1)).first()


def last_verdict(session: Session, number: int) -> Judged | None:
    row = session.scalars(
        select(VerdictRow).where(VerdictRow.number == number).order_by(VerdictRow.id.desc()).limit(1)
    ).first()
    if row is None:
        return None
    return Judged(**{field.name: getattr(row, field.name) for field in fields(Judged)})


def heads_judged(session: Session, number: int) -> int:
    """How many commits of this change have been judged."""
    found = select(func.count(VerdictRow.head.distinct())).where(VerdictRow.number == number)
    return session.scalar(found) or 0


def _same(one: Judged, other: Judged) -> bool:
    def of(it: Judged) -> tuple[object, ...]:
        return (it.head, it.base, it.policy_tree, it.kind, dict(it.verdict))

    return of(one) == of(other)


@dataclass(frozen=True)
class End:
    """How a change ended (`merged` or `closed`), and what that made of the one team it was about."""

    number: int
    end: str
    kind: str
    head: str
    commit: str | None
    team_path: str | None
    team_tree: str | None
    at: datetime


def record_end(session: Session, end: End, author: str | None = None) -> bool:
    """Records the end once, and settles its slot: consumed by a merge, released by a close. False if it was known.

    Where nobody asked for it through the proposer, its `author` had it opened. A closed change that was opened again and merged is merged.
    """
    known = session.get(ChangeEndRow, end.number)
    if known is not None and (known.end == end.end or known.end == "merged"):
        return False
    session.merge(ChangeEndRow(**end.__dict__))
    if end.end == "merged":
        asked = intent_of(session, end.number)
        slots.consume(session, end.number, end.kind, asked.requester if asked else author, end.at)
    else:
        slots.release(session, end.number, end.at)
    session.flush()
    return True


def reopen(session: Session, number: int) -> bool:
    """Forgets that the change was closed: it is open again. False if it is not known to be, or was merged."""
    known = session.get(ChangeEndRow, number)
    if known is None or known.end != "closed":
        return False
    session.delete(known)
    session.flush()
    return True


def end_of(session: Session, number: int) -> End | None:
    row = session.get(ChangeEndRow, number)
    return _end(row) if row else None


def record_verified(session: Session, team: str, path: str, tree: str, commit: str, at: datetime) -> bool:
    """That this tree of `path` (`zone/folder`) was deployed and found healthy; False if known (its time is then renewed)."""
    row = session.scalars(
        select(VerifiedTreeRow).where(VerifiedTreeRow.path == path, VerifiedTreeRow.tree == tree)
    ).first()
    if row is not None:
        row.at, row.commit = at, commit
        session.flush()
        return False
    session.add(VerifiedTreeRow(team=team, path=path, tree=tree, commit=commit, at=at))
    session.flush()
    return True


@dataclass(frozen=True)
class Verified:
    path: str
    tree: str
    commit: str
    at: datetime


def verified_trees(session: Session, path: str) -> list[Verified]:
    """The trees of this folder that were found healthy, latest first."""
    rows = session.scalars(
        select(VerifiedTreeRow)
        .where(VerifiedTreeRow.path == path)
        .order_by(VerifiedTreeRow.at.desc(), VerifiedTreeRow.id.desc())
    )
    return [Verified(row.path, row.tree, row.commit, row.at) for row in rows]


def _open_about(session: Session, subject: str, kind: str) -> IntentRow | None:
    """An intent of this kind about this team whose change has not ended."""
    same = (IntentRow.subject == subject, IntentRow.kind == kind)
    return session.scalars(select(IntentRow).where(*same, _has_not_ended()).limit(1)).first()


def _has_not_ended() -> ColumnElement[bool]:
    return or_(IntentRow.number.is_(None), IntentRow.number.not_in(select(ChangeEndRow.number)))


def _intent(row: IntentRow) -> Intent:
    return Intent(**{field.name: getattr(row, field.name) for field in fields(Intent)})


def _end(row: ChangeEndRow) -> End:
    return End(**{field.name: getattr(row, field.name) for field in fields(End)})
