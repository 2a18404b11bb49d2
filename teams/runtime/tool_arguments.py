"""What the tools of a manager take, as a model sees it. Flat and forgiving in form; the messages made of it are strict."""

from __future__ import annotations

from pydantic import BaseModel, Field

from teams.message_fields import Priority
from teams.project_messages import PROJECT_PAYLOADS, AnyProjectMessage, ProjectKind
from teams.spec import NAME_PATTERN


class AskTeam(BaseModel):
    """What `ask_team` takes."""

    #: The pattern also keeps a name from becoming another path at the gateway.
    team: str = Field(pattern=NAME_PATTERN, description="The team's name, exactly as the registry gives it")
    message: str = Field(description="The work wanted, with everything the team must know to do it")


class RequestTeam(BaseModel):
    """What `request_team` takes (F26)."""

    capability_gap: str = Field(
        description="What the company cannot do today, in one or two sentences; addresses and names exactly as they were given"
    )
    required_skills: list[str] = Field(description="The skills it takes, or what the tool must do, a few words each")
    urgency: Priority = Field(description="low, normal, high or urgent")
    business_justification: str = Field(description="Why the company needs it")


class SendMessage(BaseModel):
    """What `send_message` takes: one of the nine project messages, flat, as models write it best."""

    team: str = Field(pattern=NAME_PATTERN, description="The team's name, exactly as the registry gives it")
    kind: ProjectKind
    about: str = Field(description="The project or task it is about, by name")
    text: str = Field(description="The goal, the task, the question, or what is so")
    success_criteria: list[str] = Field(
        default=[], description="What counts as done; needed for all that gives work away"
    )
    answer_by: str = Field(default="", description="When the answer is due, ISO 8601 with a time zone")
    due: str = Field(default="", description="When the work is due, ISO 8601 with a time zone")
    expected: str = Field(default="", description="deadline_warning: when it will be done instead")
    deliverables: list[str] = Field(default=[], description="project_assignment: what is to be delivered")
    depends_on: list[str] = Field(default=[], description="task_assignment: tasks that come first")
    percent: int = Field(default=0, description="progress: 0 to 100")
    results: list[str] = Field(default=[], description="dependency_complete, hand_off: where the results are")
    needed: str = Field(default="", description="blocker: what would set the work going again")
    skills: list[str] = Field(default=[], description="help_request: the skills it takes")
    resource: str = Field(default="", description="resource_request: what is lacking")
    amount: str = Field(default="", description="resource_request: how much of it")
    open_points: list[str] = Field(default=[], description="hand_off: what is still open")

    def payload(self) -> AnyProjectMessage:
        """The typed payload. `ValidationError` names what its kind needs and did not get."""
        wanted = PROJECT_PAYLOADS[self.kind]
        given = {name: getattr(self, name) for name in wanted.model_fields}
        return wanted.model_validate({name: value for name, value in given.items() if value not in ("", [])})


class Objection(BaseModel):
    """What `push_back` takes."""

    reason: str = Field(description="Why this cannot or should not be done as decided")
    proposal: str = Field(default="", description="What would work instead")
