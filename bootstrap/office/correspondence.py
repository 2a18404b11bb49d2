"""Messages between teams, as the gateway carried them, with what came back. For a person: teams do not read each other's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from memory import messages
from memory.messages import Carried
from memory.session import Database


def correspondence(
    database: Database, team: str | None, correlation: str | None, most: int, since: datetime | None = None
) -> dict[str, Any]:
    """The latest messages, oldest first: all of them, a team's, those of one piece of business, those that moved `since`."""
    with database.read() as session:
        found = messages.latest(session, team, most, correlation=correlation, since=since)
    return {"messages": [_described(one) for one in reversed(found)]}


def _described(one: Carried) -> dict[str, Any]:
    sent, answer = one.sent, one.answer
    return {
        "id": sent.id,
        "at": sent.at.isoformat(),
        "sender": sent.sender,
        "receiver": sent.receiver,
        "kind": sent.kind,
        "correlation_id": sent.correlation_id,
        "hop": sent.hop,
        "visited": list(sent.visited),
        "text": sent.text,
        "state": answer.state if answer else "deadline passed" if one.overdue else "under way",
        "answered_at": answer.at.isoformat() if answer else None,
        "answer": answer.text if answer else None,
    }
