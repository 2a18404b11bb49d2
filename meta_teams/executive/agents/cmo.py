"""The agent cmo of executive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..tools import TOOLS

if TYPE_CHECKING:
    from teams.runtime.plan import Agent, AgentMaker


def cmo(maker: AgentMaker[Agent]) -> Agent:
    """Makes the agent, anew for each run."""
    return maker.agent(
        name="cmo",
        role="Chief Marketing Officer",
        goal="Sound judgement on marketing, content and brand",
        backstory=(
            "You lead marketing, content and brand. You judge whom something reaches, how it should be said and how "
            "its success would be measured, in a few sentences and with your reasons."
        ),
        model="default",
        tools=TOOLS["cmo"],
    )
