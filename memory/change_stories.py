"""What became of changes to teams and tool servers: one story a change, told from facts. Nothing here is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from memory import change_state, decisions
from memory.change_state import State
from memory.change_tables import IntentRow, VerdictRow
from memory.change_views import rejected_because
from memory.changes import Judged, last_verdict
from memory.seen_changes import seen

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
    #: A reviewer asked for changes before it ended, or made them: put a commit of their own on an agent's branch.
    changes_asked: bool
    intended_at: datetime
    judged_at: datetime | None
    ended_at: datetime | None
    healthy_at: datetime | None


#: The kinds whose changes are told though nobody asked for them through the proposer: pushed by hand, by an agent or a person.
_TOLD = frozenset({"new_team", "change_team", "retire_team", "rollback_team", "new_server", "change_server"})


@dataclass(frozen=True)
class _Told:
    """A change to tell of: how it began."""

    number: int
    kind: str
    subject: str
    pattern: str
    at: datetime


def stories(
    session: Session, *, since: datetime | None = None, kind: str | None = None, most: int = 500
) -> list[Story]:
    """The latest changes with a pull request, oldest first, at most `most`."""
    found = [*_asked_for(session, since, kind, most), *_pushed(session, since, kind, most)]
    return [_story(session, one) for one in sorted(found, key=lambda one: one.number)[-most:]]


def _asked_for(session: Session, since: datetime | None, kind: str | None, most: int) -> Iterator[_Told]:
    query = select(IntentRow).where(IntentRow.number.is_not(None)).order_by(IntentRow.number.desc()).limit(most)
    if since is not None:
        query = query.where(IntentRow.at >= since)
    if kind is not None:
        query = query.where(IntentRow.kind == kind)
    for row in session.scalars(query):
        assert row.number is not None
        yield _Told(row.number, row.kind, row.subject, pattern_of(row.kind, row.payload), row.at)


def _pushed(session: Session, since: datetime | None, kind: str | None, most: int) -> Iterator[_Told]:
    """Those that came another way, of the kinds that are told. They begin when they were opened."""
    begun = func.min(VerdictRow.at)
    asked = select(IntentRow.number).where(IntentRow.number.is_not(None))
    query = select(VerdictRow.number, begun).where(VerdictRow.number.not_in(asked)).group_by(VerdictRow.number)
    if since is not None:
        query = query.having(begun >= since)
    for number, at in session.execute(query.order_by(VerdictRow.number.desc()).limit(most)):
        judged, known = last_verdict(session, number), seen(session, number)
        if judged is not None and judged.kind in (_TOLD if kind is None else _TOLD & {kind}):
            words = judged.kind.replace("_", " ")
            yield _Told(number, judged.kind, _subject(session, judged), words, known.opened_at if known else at)


def _subject(session: Session, judged: Judged) -> str:
    """The team or tool server, as far as the facts of the verdict tell."""
    facts = decisions.facts_of(session, judged.facts_sha) if judged.facts_sha else None
    folder: Mapping[str, Any] = (facts or {}).get("team") or (facts or {}).get("server") or {}
    return str(folder.get("folder", "")).replace("_", "-")


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


def _story(session: Session, told: _Told) -> Story:
    progress = change_state.progress(session, told.number)
    outcome = _OUTCOMES.get(change_state.state_of(progress), "open")
    known = seen(session, told.number)
    verdicts = list(session.scalars(select(VerdictRow).where(VerdictRow.number == told.number).order_by(VerdictRow.id)))
    return Story(
        number=told.number,
        kind=told.kind,
        subject=told.subject,
        pattern=told.pattern,
        outcome=outcome,
        why=rejected_because(session, told.number) if outcome == "rejected" else None,
        changes_asked=any(_somebody_objects(verdict.verdict) for verdict in verdicts) or bool(known and known.touched),
        intended_at=told.at,
        judged_at=verdicts[0].at if verdicts else None,
        ended_at=progress.end.at if progress.end else None,
        healthy_at=progress.verified_at,
    )


def _somebody_objects(verdict: Mapping[str, Any]) -> bool:
    children: Sequence[Mapping[str, Any]] = verdict.get("children", ())
    return any(child.get("rule") == "objections" and child.get("outcome") != "allow" for child in children)
