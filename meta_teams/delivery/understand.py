"""What is wanted: a request for a capability, read by a model into a few fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from meta_teams.delivery.model_replies import corrections, messages, tagged
from meta_teams.delivery.seen import TeamRow
from teams.messages import TeamCreationRequest
from teams.spec import PLACEMENT_PATTERN, Line, Name, Strict

PURPOSE = "understand-request"
_SHOWN_TEAMS = 60


class Understanding(Strict):
    """What a request asks for. `unclear` comes with the one question whose answer would make it clear."""

    intent: Literal["new_team", "unclear"]
    summary: Line
    #: The field of work, such as `marketing`.
    function: Name
    department: Annotated[str, StringConstraints(pattern=PLACEMENT_PATTERN, max_length=40)]
    required_skills: tuple[Name, ...] = Field(max_length=8)
    question: Line | None = None

    @model_validator(mode="after")
    def _says_enough(self) -> Self:
        if self.intent == "new_team" and not self.required_skills:
            raise ValueError("name at least one skill the team needs, or set intent to unclear and ask")
        if self.intent == "unclear" and not self.question:
            raise ValueError("an unclear request needs the question to ask back")
        return self


def prompt(request: TeamCreationRequest, teams: Sequence[TeamRow], faults: Sequence[str]) -> list[dict[str, str]]:
    living = "\n".join(f"{team.name}: {', '.join(team.skills)}" for team in teams[:_SHOWN_TEAMS])
    return messages(
        "You read requests for capabilities that a company lacks, for its DevOps team. Answer with one JSON object.",
        "Say what the request asks for: intent new_team if it names work that a standing team could do, else unclear with one "
        "question. Name one to eight skills as lower-case words with hyphens; where a living team's skill means the same, use "
        "its name.",
        tagged("teams", living or "none yet"),
        tagged("skills", ", ".join(request.required_skills) or "none named"),
        tagged("reason", f"{request.business_justification}\nurgency: {request.urgency}"),
        corrections(faults),
        tagged("request", request.capability_gap),
    )
