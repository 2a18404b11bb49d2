"""Facts to verdict for one change: read the world, remember, evaluate. Writes one thing, the slot that a counted change needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from mcp_servers.git import facts as reading
from mcp_servers.git.changes import Change, Comment, Review
from mcp_servers.git.factory import Factory
from mcp_servers.git.inspection import Inspector
from mcp_servers.git.repository import Repository
from mcp_servers.git.rooms import MOST_READ_BACK, READ_BACK, is_counted, rooms_of, since
from memory import change_views, deployments, ledger, overrides, slots
from memory import changes as remembered
from memory.seen_changes import older_open
from memory.session import Database
from policies.evaluate import evaluate, refused
from policies.facts import Facts, Kind, Override, Slot
from policies.kinds import kind_of
from policies.law import Law, Limits
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
    #: The law it was judged by, and the ledger's last row when the facts were read.
    law: Law | None = None
    ledger_seq: int | None = None


def judge(
    repository: Repository,
    factory: Factory,
    database: Database,
    change: Change,
    reviews: Sequence[Review],
    now: datetime,
    *,
    reserve: bool = True,
    comments: Sequence[Comment],
    inspector: Inspector,
) -> Judgement:
    """The verdict on the change as it is now. Never raises: what goes wrong becomes the verdict's reason, and a no.

    With `reserve` off nothing at all is written: a look at how things are.
    """
    try:
        facts, law_base, contents, seq = _facts(repository, factory, database, change, reviews, now, reserve=reserve)
        facts = inspector.inspect(facts, contents, change, comments, reviews)
        verdict = inspector.scrubbed(evaluate(facts, law_base.law, now))
    except Exception as error:  # noqa: BLE001 (a gate that crashes denies, and says why)
        why = f"the change could not be judged ({type(error).__name__}: {str(error)[:300]}); a person must look into it"
        return Judgement(change, _scrubbed(inspector, refused(why)), Kind.PLATFORM, "", "", None)
    return Judgement(change, verdict, kind_of(facts), facts.base, facts.policy_tree, facts, law_base.law, seq)


def _facts(
    repository: Repository,
    factory: Factory,
    database: Database,
    change: Change,
    reviews: Sequence[Review],
    now: datetime,
    *,
    reserve: bool,
) -> tuple[Facts, reading.Base, reading.Contents, int]:
    base = reading.read_base(repository, change.base)
    contents = reading.read_contents(repository, base.commit, change.head)
    limits = base.law.limits
    with database.read() as session:
        rows = _remembered(session, change, contents.team_path, limits, now)
        seq = ledger.head(session).seq
    facts = reading.build(repository, factory, change, base, contents, reviews, rows, now)
    if reserve and _holds_wrong_slot(facts, limits) and _settled_slot(database, facts, limits, now):
        with database.read() as session:
            slots_now = _slots(session, limits, now)
        facts = facts.model_copy(update={"slots": slots_now})
    return facts, base, contents, seq


def _scrubbed(inspector: Inspector, verdict: Verdict) -> Verdict:
    """Where not even the secrets can be read, nothing is quoted."""
    try:
        return inspector.scrubbed(verdict)
    except Exception as error:  # noqa: BLE001 (the no stays, and so does what it may not say)
        return refused(f"the change could not be judged, nor the company's keys read ({type(error).__name__})")


def _remembered(
    session: Session, change: Change, team_path: str | None, limits: Limits, now: datetime
) -> reading.Remembered:
    intent = remembered.intent_of(session, change.number)
    verified = remembered.verified_trees(session, team_path) if team_path else []
    return reading.Remembered(
        requester=intent.requester if intent else None,
        asked_for=Kind(intent.kind) if intent else None,
        on_behalf_of=intent.on_behalf_of if intent else None,
        verified_trees=frozenset(it.tree for it in verified),
        ill_trees=deployments.ill_trees(session, team_path) if team_path else frozenset(),
        slots=_slots(session, limits, now),
        open_before=older_open(session, intent.requester if intent else change.author, change.number),
        overrides=tuple(_override(given) for given in overrides.of_change(session, change.number)),
        reopened_at=change_views.reopened_at(session, change.number),
        judged_first=remembered.first_judged(session, change.number, change.head),
    )


def _override(given: overrides.Given) -> Override:
    return Override(
        who=given.who,
        head=given.head,
        rules=given.rules,
        reason=given.reason,
        at=given.at,
        until=given.until,
        seq=given.seq,
    )


def _slots(session: Session, limits: Limits, now: datetime) -> tuple[Slot, ...]:
    """All that this law's rates count, and some of what another law's might have."""
    needed = since(limits, now)
    rows = slots.taken(session, min(needed, now - READ_BACK))
    older = [row for row in rows if row.settled_at is not None and row.settled_at <= needed]
    spared = {row.key for row in older[:-MOST_READ_BACK]}
    return tuple(
        Slot(
            number=row.number,
            state="reserved" if row.settled_at is None else "consumed",
            at=row.settled_at or row.reserved_at,
            kind=Kind(row.scope),
            requester=row.requester,
        )
        for row in rows
        if row.key not in spared
    )


def _holds_wrong_slot(facts: Facts, limits: Limits) -> bool:
    """A counted change that was not proposed through the proposer (a branch pushed by hand) holds none yet; one whose
    branch was pushed something else since holds that of another kind."""
    kind = kind_of(facts)
    wanted = {kind} if is_counted(limits, kind, facts.requester) else set[Kind]()
    held = _held(facts)
    return facts.state == "open" and held != wanted


def _settled_slot(database: Database, facts: Facts, limits: Limits, now: datetime) -> bool:
    """Gives back what it holds as another kind, and takes a place as what it is, if there is one. False if nothing came of it."""
    kind = kind_of(facts)
    place = slots.Place(f"change:{facts.number}", kind.value, facts.requester, facts.number)
    try:
        with database.begin() as session:
            slots.release(session, facts.number, now)
            if not is_counted(limits, kind, facts.requester):
                return True
            return slots.reserve(session, place, rooms_of(limits, kind, facts.requester, now), now)
    except slots.NoRoom:
        pass  # not lost: the rule about the rate says it, with the time at which there is room
    if _held(facts):
        with database.begin() as session:
            slots.release(session, facts.number, now)
    return bool(_held(facts))


def _held(facts: Facts) -> set[Kind]:
    """The kinds as which it holds places."""
    return {slot.kind for slot in facts.slots if slot.number == facts.number and slot.state == "reserved"}
