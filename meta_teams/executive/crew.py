"""How executive works, with CrewAI.

The manager answers, and asks colleagues where their judgement is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from teams.runtime.plan import Plan

from .agents import AGENTS
from .tasks import WORK

if TYPE_CHECKING:
    from teams.runtime.work import Resources, TeamWorker

PLAN = Plan(
    process="hierarchical",
    manager="ceo",
    skeptic="cfo",
    work=WORK,
)


def build(resources: Resources) -> TeamWorker:
    """The team, ready for requests. The framework is loaded here, not when the team is only looked at."""
    from teams.runtime.crew import CrewTeam

    return CrewTeam(resources, PLAN, AGENTS)
