"""Past decisions with the facts they were made by, so that another law can be tried on them; and what came of such a trial.

Facts are kept by the hash of their text. Functions take the caller's session and commit nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from memory.change_tables import FactsRow, ReplayRow, VerdictRow
from memory.ledger import canonical

#: Facts whose text is longer are not kept, and what was decided by them is not replayed.
MAX_FACTS = 4_000_000


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


def keep_facts(session: Session, facts: Mapping[str, Any]) -> str | None:
    """Keeps the facts (JSON values); their hash. None, and nothing kept, if they are too long."""
    body = canonical(facts)
    if len(body) > MAX_FACTS:
        return None
    sha = hashlib.sha256(body.encode()).hexdigest()
    if session.get(FactsRow, sha) is None:
        session.add(FactsRow(sha=sha, body=body))
        session.flush()
    return sha


def past(session: Session, since: datetime | None = None, most: int = 1000) -> list[Decision]:
    """The last verdict on each change, oldest first: of the latest `most` changes that were judged after `since`."""
    last = select(func.max(VerdictRow.id)).group_by(VerdictRow.number)
    query = (
        select(VerdictRow, FactsRow.body)
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
            row.number, row.head, row.kind, row.outcome, row.policy_tree, row.at, json.loads(body) if body else None
        )
        for row, body in reversed(rows)
    ]


def replay_of(session: Session, before: str, after: str) -> Mapping[str, Any] | None:
    """What putting the law `after` in the place of `before` would turn, as it was found then."""
    row = session.get(ReplayRow, (before, after))
    return row.result if row else None


def record_replay(session: Session, before: str, after: str, result: Mapping[str, Any], at: datetime) -> None:
    """Keeps it, in the place of what was found earlier."""
    session.merge(ReplayRow(before=before, after=after, result=dict(result), at=at))
    session.flush()


def judged_since(session: Session, since: datetime, but: int) -> int:
    """How many changes, but this one, got a verdict after that."""
    numbers = select(func.count(VerdictRow.number.distinct())).where(VerdictRow.at > since, VerdictRow.number != but)
    return session.scalar(numbers) or 0


def facts_of(session: Session, sha: str) -> Mapping[str, Any] | None:
    """The facts kept under this hash; None if none are."""
    row = session.get(FactsRow, sha)
    return json.loads(row.body) if row else None
