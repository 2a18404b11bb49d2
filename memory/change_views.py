"""Changes, listed, and what people said when they refused one."""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from memory.change_tables import IntentRow, VerdictRow
from memory.tables import AuditRow


def recent_numbers(session: Session, most: int) -> list[int]:
    """The pull requests that agents asked for last, oldest first."""
    query = select(IntentRow.number).where(IntentRow.number.is_not(None)).order_by(IntentRow.number.desc()).limit(most)
    return sorted(number for number in session.scalars(query) if number is not None)


def any_number(session: Session) -> bool:
    """Whether any change has a number here: asked for by agents, or judged."""
    judged = session.scalars(select(VerdictRow.number).limit(1)).first()
    return judged is not None or bool(recent_numbers(session, 1))


def rejected_because(session: Session, number: int) -> str | None:
    """What the person who rejected this change said; None if nobody did."""
    query = (
        select(AuditRow.detail)
        .where(AuditRow.action == "change.reject", AuditRow.subject == f"change:{number}")
        .order_by(AuditRow.seq.desc())
        .limit(1)
    )
    detail = session.scalars(query).first()
    return None if detail is None else str(json.loads(detail)["why"])


def rejection_is_told(session: Session, number: int) -> bool:
    """Whether a person's words are written down for the change's last closing: none is older than its last reopening."""
    last = (
        select(AuditRow.action)
        .where(AuditRow.action.in_(("change.reject", "change.reopen")), AuditRow.subject == f"change:{number}")
        .order_by(AuditRow.seq.desc())
        .limit(1)
    )
    return session.scalars(last).first() == "change.reject"


def left_to_people(session: Session, number: int, head: str) -> bool:
    """Whether this commit's merge was left to a person, because its place does not let the gate make it."""
    query = select(AuditRow.detail).where(
        AuditRow.action == "change.leave_to_people", AuditRow.subject == f"change:{number}"
    )
    return any(json.loads(detail)["head"] == head for detail in session.scalars(query))


def reopened_at(session: Session, number: int) -> datetime | None:
    """When a person last opened the change again, as its place tells the time; None if nobody did."""
    query = (
        select(AuditRow.detail)
        .where(AuditRow.action == "change.reopen", AuditRow.subject == f"change:{number}")
        .order_by(AuditRow.seq.desc())
        .limit(1)
    )
    detail = session.scalars(query).first()
    return None if detail is None else datetime.fromisoformat(json.loads(detail)["at"])


def approvals_written(session: Session, number: int) -> set[tuple[str, str, str]]:
    """(who, commit, reason) of the approvals of this change that are in the ledger."""
    query = select(AuditRow.actor, AuditRow.detail).where(
        AuditRow.action == "change.approve", AuditRow.subject == f"change:{number}"
    )
    found = ((actor, json.loads(detail)) for actor, detail in session.execute(query))
    return {(actor, str(detail["head"]), str(detail["reason"])) for actor, detail in found}
