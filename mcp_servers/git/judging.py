"""Facts to verdict for one change: read the world, remember, evaluate. Writes one thing, the slot that a new team needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mcp_servers.git import facts as reading
from mcp_servers.git.changes import Change, Comment, Review
from mcp_servers.git.factory import Factory
from mcp_servers.git.inspection import Inspector
from mcp_servers.git.repository import Repository
from memory import changes as remembered
from memory import slots
from memory.session import Database
from policies.evaluate import evaluate, refused
from policies.facts import Facts, Kind, Slot
from policies.kinds import kind_of
from policies.law import NewTeams
from policies.verdict import Verdict


@dataclass(frozen=True)
class Judgement:
    """A verdict and exactly what it is of. Without facts the change could not be read, and the verdict is a no."""

    change: Change
    verdict: Verdict
    kind: str
    base: str
    policy_tree: str
    facts: Facts | None


def judge(
    repository: Repository,
    factory: Factory,
    database: Database,
    change: Change,
    reviews: Sequence[Review],
    now: datetime,
    *,
    comments: Sequence[Comment],
    inspector: Inspector,
) -> Judgement:
    """The verdict on the change as it is now. Never raises: what goes wrong becomes the verdict's reason, and a no."""
    try:
        facts, law_base, contents = _facts(repository, factory, database, change, reviews, now)
        facts = inspector.inspect(facts, contents, change, comments)
        verdict = inspector.scrubbed(evaluate(facts, law_base.law, now))
    except Exception as error:  # noqa: BLE001 (a gate that crashes denies, and says why)
        why = f"the change could not be judged ({type(error).__name__}: {str(error)[:300]}); a person must look into it"
        return Judgement(change, _scrubbed(inspector, refused(why)), Kind.PLATFORM, "", "", None)
    return Judgement(change, verdict, kind_of(facts), facts.base, facts.policy_tree, facts)


def _facts(
    repository: Repository,
    factory: Factory,
    database: Database,
    change: Change,
    reviews: Sequence[Review],
    now: datetime,
) -> tuple[Facts, reading.Base, reading.Contents]:
    base = reading.read_base(repository, change.base)
    contents = reading.read_contents(repository, base.commit, change.head)
    limit = base.law.limits.new_teams
    with database.read() as session:
        rows = _remembered(session, change, contents.team_path, limit, now)
    facts = reading.build(repository, factory, change, base, contents, reviews, rows, now)
    if _wants_slot(facts, limit) and _took_slot(database, facts, limit, now):
        with database.read() as session:
            slots_now = _slots(session, limit, now)
        facts = facts.model_copy(update={"slots": slots_now})
    return facts, base, contents


def _scrubbed(inspector: Inspector, verdict: Verdict) -> Verdict:
    """Where not even the secrets can be read, nothing is quoted."""
    try:
        return inspector.scrubbed(verdict)
    except Exception as error:  # noqa: BLE001 (the no stays, and so does what it may not say)
        return refused(f"the change could not be judged, nor the company's keys read ({type(error).__name__})")


def _remembered(
    session: Session, change: Change, team_path: str | None, limit: NewTeams, now: datetime
) -> reading.Remembered:
    intent = remembered.intent_of(session, change.number)
    verified = remembered.verified_trees(session, team_path) if team_path else []
    return reading.Remembered(
        requester=intent.requester if intent else None,
        on_behalf_of=intent.on_behalf_of if intent else None,
        verified_trees=frozenset(it.tree for it in verified),
        slots=_slots(session, limit, now),
        open_before=remembered.older_open(session, intent.requester, change.number) if intent else 0,
    )


def _slots(session: Session, limit: NewTeams, now: datetime) -> tuple[Slot, ...]:
    window = max(timedelta(hours=limit.in_hours), timedelta(seconds=limit.cooldown_seconds or 0))
    return tuple(
        Slot(number=row.number, state="consumed", at=row.settled_at)
        if row.settled_at is not None
        else Slot(number=row.number, state="reserved", at=row.reserved_at)
        for row in slots.taken(session, now - window)
    )


def _wants_slot(facts: Facts, limit: NewTeams) -> bool:
    """A new team that was not proposed through the proposer (a branch pushed by hand) holds none yet."""
    held = any(slot.number == facts.number for slot in facts.slots)
    exempt = facts.requester in limit.exempt
    return kind_of(facts) is Kind.NEW_TEAM and facts.state == "open" and not held and not exempt


def _took_slot(database: Database, facts: Facts, limit: NewTeams, now: datetime) -> bool:
    try:
        with database.begin() as session:
            window = timedelta(hours=limit.in_hours)
            return slots.reserve(session, f"change:{facts.number}", limit.at_most, window, now, facts.number)
    except slots.NoRoom:
        return False  # not lost: the rule about new teams says it, with the time at which there is room
