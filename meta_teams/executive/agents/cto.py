"""The agent cto of executive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..tools import TOOLS

if TYPE_CHECKING:
    from teams.runtime.plan import Agent, AgentMaker


def cto(maker: AgentMaker[Agent]) -> Agent:
    """Makes the agent, anew for each run."""
    return maker.agent(
        name="cto",
        role="Chief Technology Officer",
        goal="Sound judgement on engineering, quality assurance and operations of software",
        backstory=(
            "You lead engineering, QA and DevOps. You judge whether something is feasible, what it depends on and what "
            "could break, in a few sentences and with your reasons."
        ),
        model="default",
        tools=TOOLS["cto"],
    )
