"""The figures the company keeps of itself: how fast a gap becomes a team, how often people had to step in, what held.

Pure arithmetic over stories. A figure without anything to count has no value, and is then neither met nor missed.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from memory.change_stories import Story

Unit = Literal["seconds", "percent"]


@dataclass(frozen=True)
class Figure:
    """One figure over `of` cases. `value` in `unit`; `at_most`/`at_least` is what the company wants of itself, if anything."""

    name: str
    meaning: str
    value: float | None
    unit: Unit
    of: int
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool | None:
        """None where there is nothing to count, or nothing wanted."""
        if self.value is None or (self.at_most is None and self.at_least is None):
            return None
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )


def figures(stories: Sequence[Story], healed: Sequence[tuple[datetime, datetime]]) -> list[Figure]:
    """All figures. `healed` holds when each incident that is over was opened and closed."""
    asked = [it for it in stories if it.kind != "rollback_team"]
    ended = [it for it in asked if it.ended_at is not None]
    merged = [it for it in ended if it.outcome not in ("rejected", "superseded")]
    teams = [it for it in merged if it.kind in ("new_team", "change_team")]
    settled = [it for it in teams if it.outcome in ("held", "rolled back")]
    gaps = [it for it in ended if it.kind == "new_team"]
    return [
        _median(
            "gap to pull request",
            "from the wish to a pull request with a verdict",
            (it.judged_at - it.intended_at for it in asked if it.judged_at is not None),
            at_most=timedelta(minutes=30),
        ),
        _median(
            "review",
            "from the first verdict to the merge",
            (it.ended_at - it.judged_at for it in merged if it.judged_at is not None and it.ended_at is not None),
        ),
        _share(
            "changes asked for",
            "of all proposals that a reviewer asked to change, or changed",
            (it.changes_asked for it in asked),
            at_most=20,
        ),
        _share("rejected", "of all proposals that ended", (it.outcome == "rejected" for it in ended)),
        _share(
            "false gaps", "of new teams that were decided on", (it.outcome == "rejected" for it in gaps), at_most=10
        ),
        _median(
            "deployment",
            "from the merge to the team's health",
            (it.healthy_at - it.ended_at for it in teams if it.healthy_at is not None and it.ended_at is not None),
            at_most=timedelta(minutes=5),
        ),
        _share(
            "deployments that held",
            "of those that ended well or were undone",
            (it.outcome == "held" for it in settled),
            at_least=99,
        ),
        _median("time to heal", "from an incident to its end", (closed - opened for opened, closed in healed)),
    ]


def _median(name: str, meaning: str, times: Iterable[timedelta], at_most: timedelta | None = None) -> Figure:
    seconds = [max(0.0, time.total_seconds()) for time in times]
    value = statistics.median(seconds) if seconds else None
    return Figure(
        name, f"median, {meaning}", value, "seconds", len(seconds), at_most.total_seconds() if at_most else None
    )


def _share(
    name: str, meaning: str, cases: Iterable[bool], at_most: float | None = None, at_least: float | None = None
) -> Figure:
    found = list(cases)
    value = 100 * sum(found) / len(found) if found else None
    return Figure(name, f"share {meaning}", value, "percent", len(found), at_most, at_least)
