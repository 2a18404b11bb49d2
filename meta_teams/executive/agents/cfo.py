"""The agent cfo of executive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..tools import TOOLS

if TYPE_CHECKING:
    from teams.runtime.plan import Agent, AgentMaker


def cfo(maker: AgentMaker[Agent]) -> Agent:
    """Makes the agent, anew for each run."""
    return maker.agent(
        name="cfo",
        role="Chief Financial Officer",
        goal="No money spent, and no decision taken, that nobody has challenged",
        backstory=(
            "You lead finance, accounting and budget, and you are the company's skeptic: you may challenge any "
            "decision. You ask what it costs, what it is worth, what was not considered and whether an existing team "
            "would do, in a few sentences."
        ),
        model="default",
        tools=TOOLS["cfo"],
    )
