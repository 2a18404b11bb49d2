"""The figures the company keeps of itself, as JSON values."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from memory.change_stories import Story, stories
from memory.figures import Figure, figures
from memory.session import Database
from memory.tables import IncidentRow

#: Changes shown one by one.
_SHOWN = 20


def company_figures(database: Database, now: datetime, days: int) -> dict[str, Any]:
    """`{days, figures: [...], changes: [...]}` over what was asked for in the last `days`."""
    since = now - timedelta(days=days)
    with database.read() as session:
        told = stories(session, since=since)
        over = select(IncidentRow).where(IncidentRow.opened_at >= since, IncidentRow.closed_at.is_not(None))
        healed = [(row.opened_at, row.closed_at) for row in session.scalars(over) if row.closed_at is not None]
    return {
        "days": days,
        "figures": [_figure(one) for one in figures(told, healed)],
        "changes": [_story(one) for one in told[-_SHOWN:]],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "name": figure.name,
        "meaning": figure.meaning,
        "value": None if figure.value is None else round(figure.value, 3),
        "unit": figure.unit,
        "of": figure.of,
        "at_most": figure.at_most,
        "at_least": figure.at_least,
        "met": figure.met,
    }


def _story(story: Story) -> dict[str, Any]:
    return {
        "number": story.number,
        "kind": story.kind,
        "subject": story.subject,
        "pattern": story.pattern,
        "outcome": story.outcome,
        "why": story.why,
    }
