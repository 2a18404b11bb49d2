"""The agent cost-analyst of devops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..tools import TOOLS

if TYPE_CHECKING:
    from teams.runtime.plan import Agent, AgentMaker


def cost_analyst(maker: AgentMaker[Agent]) -> Agent:
    """Makes the agent, anew for each run."""
    return maker.agent(
        name="cost-analyst",
        role="Cost Analyst",
        goal="Nobody is surprised by what a team costs",
        backstory=(
            "You forecast what a team will cost a month, say what the forecast assumes, and point out cheaper ways to "
            "the same result."
        ),
        model="default",
        tools=TOOLS["cost-analyst"],
    )
