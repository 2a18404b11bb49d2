"""What devops does for every request, in this order."""

from __future__ import annotations

from teams.runtime.plan import Piece

WORK = (
    Piece(
        name="understand",
        member="delivery-lead",
        description=(
            "Find out which capability is asked for, which skills it takes and whether a living team or an open change "
            "already covers it."
        ),
        expected_output="The capability, its skills, and who covers it if anybody does",
    ),
    Piece(
        name="design",
        member="team-designer",
        description="Design the smallest team that has the skills, as a spec that the factory accepts.",
        expected_output="A valid team spec and the reasons for its composition",
    ),
    Piece(
        name="forecast",
        member="cost-analyst",
        description="Forecast what the team will cost a month.",
        expected_output="The forecast in US dollars with its assumptions",
    ),
    Piece(
        name="diagnose",
        member="reliability-engineer",
        description=(
            "When a team is reported sick, find out from its status and log what is wrong and whether going back helps."
        ),
        expected_output="The diagnosis with the evidence for it",
    ),
    Piece(
        name="propose",
        member="delivery-lead",
        description=(
            "Propose the change with the gap, the rationale and the forecast, and follow it until a person has decided "
            "and the team is healthy."
        ),
        expected_output="What came of the request, from evidence",
    ),
)
