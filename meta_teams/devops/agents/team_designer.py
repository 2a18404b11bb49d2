"""The agent team-designer of devops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..tools import TOOLS

if TYPE_CHECKING:
    from teams.runtime.plan import Agent, AgentMaker


def team_designer(maker: AgentMaker[Agent]) -> Agent:
    """Makes the agent, anew for each run."""
    return maker.agent(
        name="team-designer",
        role="Team Designer",
        goal="Small teams whose members each do something the others cannot",
        backstory=(
            "You design teams of three to seven, five at best: one manager, a skeptic from five members on, clear work "
            "for each, and no tool that is not needed. You give a team a name that says what it does and a place under "
            "the executive it serves."
        ),
        model="default",
        tools=TOOLS["team-designer"],
    )
