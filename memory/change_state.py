"""How far a change has come: derived from facts each time it is asked, never stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from memory import decisions
from memory.change_tables import ChangeEndRow
from memory.changes import End, Judged, end_of, last_verdict
from memory.tables import DeploymentRow


class State(StrEnum):
    """How far a change has come. `active` is not among them: that is the team's, and changes by the minute."""

    INTENDED = "intended"
    PROPOSED = "proposed"
    JUDGED = "judged"
    #: The gate says no, and no approval turns that into a yes.
    REFUSED = "refused"
    APPROVED = "approved"
    MERGED = "merged"
    DEPLOYED = "deployed"
    VERIFIED = "verified"
    ROLLED_BACK = "rolled_back"
    CLOSED = "closed"
    #: Closed because its target had come to hold all of it.
    SUPERSEDED = "superseded"


_OUTCOMES = {"allow": State.APPROVED, "deny": State.REFUSED}


@dataclass(frozen=True)
class Progress:
    """The facts a change's state follows from."""

    number: int | None = None
    #: The latest verdict's outcome and when it was given.
    outcome: str | None = None
    judged_at: datetime | None = None
    end: End | None = None
    deployed_at: datetime | None = None
    verified_at: datetime | None = None
    rolled_back_by: int | None = None
    #: The latest verdict found nothing left in it.
    empty: bool = False


def state_of(progress: Progress) -> State:
    """The state that follows from the facts. Pure."""
    end = progress.end
    if end is not None and end.end == "closed":
        return State.SUPERSEDED if progress.empty else State.CLOSED
    if end is not None:
        if progress.rolled_back_by is not None:
            return State.ROLLED_BACK
        if progress.verified_at is not None:
            return State.VERIFIED
        return State.DEPLOYED if progress.deployed_at is not None else State.MERGED
    if progress.number is None:
        return State.INTENDED
    if progress.outcome is None:
        return State.PROPOSED
    return _OUTCOMES.get(progress.outcome, State.JUDGED)


def progress(session: Session, number: int) -> Progress:
    """The facts about a pull request, from rows."""
    judged, end = last_verdict(session, number), end_of(session, number)
    started = healthy = None
    if end is not None and end.team_tree is not None and end.team_path is not None:
        deployments = _deployments(session, end)
        started = min((row.started_at for row in deployments), default=None)
        healthy = min((row.healthy_at for row in deployments if row.healthy_at is not None), default=None)
    return Progress(
        number=number,
        outcome=judged.outcome if judged else None,
        judged_at=judged.at if judged else None,
        end=end,
        deployed_at=started,
        verified_at=healthy,
        rolled_back_by=_rolled_back_by(session, end) if end else None,
        empty=end is not None and end.end == "closed" and judged is not None and _was_empty(session, judged),
    )


def _was_empty(session: Session, judged: Judged) -> bool:
    facts = decisions.facts_of(session, judged.facts_sha) if judged.facts_sha else None
    return facts is not None and not facts.get("files") and facts.get("conflicts") is None


def _deployments(session: Session, end: End) -> list[DeploymentRow]:
    name = (end.team_path or "").rpartition("/")[2].replace("_", "-")
    found = select(DeploymentRow).where(
        DeploymentRow.team == name, DeploymentRow.tree == end.team_tree, DeploymentRow.started_at >= end.at
    )
    return list(session.scalars(found))


def _rolled_back_by(session: Session, end: End) -> int | None:
    """The first rollback of the same team after this change, if nothing was merged there between them."""
    if end.end != "merged" or end.team_path is None:
        return None
    later = session.scalars(
        select(ChangeEndRow)
        .where(ChangeEndRow.end == "merged", ChangeEndRow.team_path == end.team_path, ChangeEndRow.at > end.at)
        .order_by(ChangeEndRow.at)
        .limit(1)
    ).first()
    return later.number if later is not None and later.kind == "rollback_team" else None
