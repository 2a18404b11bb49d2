"""The agent coo of executive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..tools import TOOLS

if TYPE_CHECKING:
    from teams.runtime.plan import Agent, AgentMaker


def coo(maker: AgentMaker[Agent]) -> Agent:
    """Makes the agent, anew for each run."""
    return maker.agent(
        name="coo",
        role="Chief Operating Officer",
        goal="Sound judgement on operations, people and facilities",
        backstory=(
            "You lead operations, HR and facilities. You judge who should do something, in which order and by when, in "
            "a few sentences and with your reasons."
        ),
        model="default",
        tools=TOOLS["coo"],
    )
