"""Past decisions with the facts they were made by, so that another law can be tried on them; and what came of such a trial.

Facts are kept by the hash of their text, compressed: those of each change's last verdict, for nothing ever replays an earlier one, and
of the latest changes as far as they fit into `MOST_KEPT`. Functions take the caller's session and commit nothing.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from memory.change_tables import FactsRow, ReplayRow, VerdictRow
from memory.ledger import canonical

#: Facts whose text is longer are not kept, and what was decided by them is not replayed.
MAX_FACTS = 4_000_000
#: Bytes of facts that are kept, compressed. The facts of a new team's change take 1 kB, those of one of 1,000 files 30.
MOST_KEPT = 200_000_000


@dataclass(frozen=True)
class Decision:
    """The last verdict on a change. `facts` is None where they were not kept."""

    number: int
    head: str
    kind: str
    outcome: str
    policy_tree: str
    at: datetime
    facts: Mapping[str, Any] | None


def facts_sha(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(facts).encode()).hexdigest()


def keep_facts(session: Session, number: int, facts: Mapping[str, Any]) -> str | None:
    """Keeps the facts (JSON values) in the place of those of earlier verdicts on the change; their hash.

    None, and nothing kept, if they are too long. What no longer fits is forgotten, the oldest first: a replay counts it as untold.
    """
    earlier = select(VerdictRow.facts_sha).where(VerdictRow.number == number, VerdictRow.facts_sha.is_not(None))
    session.execute(delete(FactsRow).where(FactsRow.sha.in_(earlier)))
    body = canonical(facts)
    if len(body) > MAX_FACTS:
        return None
    sha = hashlib.sha256(body.encode()).hexdigest()
    if session.scalar(select(FactsRow.sha).where(FactsRow.sha == sha)) is None:
        packed = zlib.compress(body.encode())
        session.add(FactsRow(sha=sha, packed=packed, size=len(packed)))
        session.flush()
        _forget_what_does_not_fit(session, sha)
    return sha


def _forget_what_does_not_fit(session: Session, newest: str) -> None:
    too_much = (session.scalar(select(func.sum(FactsRow.size))) or 0) - MOST_KEPT
    if too_much <= 0:
        return
    judged = func.max(VerdictRow.id)
    oldest = (
        select(FactsRow.sha, FactsRow.size)
        .outerjoin(VerdictRow, VerdictRow.facts_sha == FactsRow.sha)
        .where(FactsRow.sha != newest)
        .group_by(FactsRow.sha, FactsRow.size)
        .order_by(func.coalesce(judged, 0))
    )
    for sha, size in session.execute(oldest).all():
        if too_much <= 0:
            return
        session.execute(delete(FactsRow).where(FactsRow.sha == sha))
        too_much -= size


def unpacked(packed: bytes) -> Mapping[str, Any]:
    """The facts in a row of `FactsRow`."""
    return json.loads(zlib.decompress(packed))


def past(session: Session, since: datetime | None = None, most: int = 1000) -> list[Decision]:
    """The last verdict on each change, oldest first: of the latest `most` changes that were judged after `since`."""
    last = select(func.max(VerdictRow.id)).group_by(VerdictRow.number)
    query = (
        select(VerdictRow, FactsRow.packed)
        .outerjoin(FactsRow, FactsRow.sha == VerdictRow.facts_sha)
        .where(VerdictRow.id.in_(last))
        .order_by(VerdictRow.id.desc())
        .limit(most)
    )
    if since is not None:
        query = query.where(VerdictRow.at >= since)
    rows = list(session.execute(query))
    return [
        Decision(
            row.number, row.head, row.kind, row.outcome, row.policy_tree, row.at, unpacked(packed) if packed else None
        )
        for row, packed in reversed(rows)
    ]


def replay_of(session: Session, before: str, after: str) -> Mapping[str, Any] | None:
    """What putting the law `after` in the place of `before` would turn, as it was found then."""
    row = session.get(ReplayRow, (before, after))
    return row.result if row else None


def record_replay(session: Session, before: str, after: str, result: Mapping[str, Any], at: datetime) -> bool:
    """False, and nothing written, if it is known."""
    if session.get(ReplayRow, (before, after)) is not None:
        return False
    session.add(ReplayRow(before=before, after=after, result=dict(result), at=at))
    session.flush()
    return True


def facts_of(session: Session, sha: str) -> Mapping[str, Any] | None:
    """The facts kept under this hash; None if none are."""
    row = session.get(FactsRow, sha)
    return unpacked(row.packed) if row else None
