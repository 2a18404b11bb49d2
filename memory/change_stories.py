"""What became of the changes that agents asked for: one story a change, told from facts. Nothing here is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from memory import change_state
from memory.change_state import State
from memory.change_tables import IntentRow, VerdictRow
from memory.change_views import rejected_because

Outcome = Literal["open", "rejected", "superseded", "merged", "held", "rolled back"]

_OUTCOMES: Mapping[State, Outcome] = {
    State.CLOSED: "rejected",
    State.SUPERSEDED: "superseded",
    State.MERGED: "merged",
    State.DEPLOYED: "merged",
    State.VERIFIED: "held",
    State.ROLLED_BACK: "rolled back",
}


@dataclass(frozen=True)
class Story:
    """One change, from the wish to what came of it. Times are UTC-aware; None: has not happened."""

    number: int
    kind: str
    #: The team or tool server it is about.
    subject: str
    #: What kind of thing was proposed, in words that later proposals can be compared by.
    pattern: str
    outcome: Outcome
    #: What the person who rejected it said.
    why: str | None
    #: A reviewer asked for changes before it ended.
    changes_asked: bool
    intended_at: datetime
    judged_at: datetime | None
    ended_at: datetime | None
    healthy_at: datetime | None


def stories(
    session: Session, *, since: datetime | None = None, kind: str | None = None, most: int = 500
) -> list[Story]:
    """The latest changes with a pull request, oldest first, at most `most`."""
    query = select(IntentRow).where(IntentRow.number.is_not(None)).order_by(IntentRow.number.desc()).limit(most)
    if since is not None:
        query = query.where(IntentRow.at >= since)
    if kind is not None:
        query = query.where(IntentRow.kind == kind)
    return [_story(session, row) for row in reversed(list(session.scalars(query)))]


def pattern_of(kind: str, payload: Mapping[str, Any]) -> str:
    """`marketing team, crewai, sequential, 5 members`; of a server its kind; else the change's kind."""
    spec = payload.get("spec")
    if not isinstance(spec, Mapping):
        return kind.replace("_", " ")
    if "members" in spec:
        department = str(spec.get("placement", "")).split(".")[0]
        members: Sequence[object] = spec["members"]
        return f"{department} team, {spec.get('framework')}, {spec.get('process')}, {len(members)} members"
    return f"{spec.get('kind')} tool server"


def _story(session: Session, row: IntentRow) -> Story:
    assert row.number is not None
    progress = change_state.progress(session, row.number)
    outcome = _OUTCOMES.get(change_state.state_of(progress), "open")
    verdicts = list(session.scalars(select(VerdictRow).where(VerdictRow.number == row.number).order_by(VerdictRow.id)))
    return Story(
        number=row.number,
        kind=row.kind,
        subject=row.subject,
        pattern=pattern_of(row.kind, row.payload),
        outcome=outcome,
        why=rejected_because(session, row.number) if outcome == "rejected" else None,
        changes_asked=any(_somebody_objects(verdict.verdict) for verdict in verdicts),
        intended_at=row.at,
        judged_at=verdicts[0].at if verdicts else None,
        ended_at=progress.end.at if progress.end else None,
        healthy_at=progress.verified_at,
    )


def _somebody_objects(verdict: Mapping[str, Any]) -> bool:
    children: Sequence[Mapping[str, Any]] = verdict.get("children", ())
    return any(child.get("rule") == "objections" and child.get("outcome") != "allow" for child in children)
