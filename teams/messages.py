"""What crosses between teams: one envelope, a typed payload a kind, and what comes back.

Both ends and the gateway read these, so they know nobody of ours. No message confers authority: that comes from the
gate alone. Numbers that travelled as A2A data arrive as floats (`3.0`); whole ones are read as integers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import AwareDatetime, Field, JsonValue, ValidationError, ValidationInfo, field_validator, model_validator

from teams.message_fields import MAX_TEXT as MAX_TEXT
from teams.message_fields import Id, Priority, Short, Strict, Text
from teams.project_messages import PROJECT_PAYLOADS, AnyProjectMessage, ProjectKind

MAX_HISTORY = 50
MAX_CONTEXT_BYTES = 32_000

OtherKind = Literal["person_message", "team_creation_request", "task", "directive", "change_event", "incident"]
Kind = Literal[OtherKind, ProjectKind]

#: Kinds that give work away: they say what counts as done.
NEEDS_CRITERIA = frozenset[str]({"project_assignment", "task_assignment", "hand_off"})


class MessageRefused(ValueError):
    """A message nobody acts on. Its text is one sentence that may be shown to whoever sent it."""


class Utterance(Strict):
    """One earlier turn of a conversation."""

    speaker: Short
    text: Text


class PersonMessage(Strict):
    """What a person says to a team, with the turns before it, oldest first."""

    text: Text
    history: tuple[Utterance, ...] = Field(default=(), max_length=MAX_HISTORY)


class TeamCreationRequest(Strict):
    """A capability the company lacks (F26)."""

    capability_gap: Text
    required_skills: tuple[Short, ...] = Field(default=(), max_length=12)
    urgency: Priority = "normal"
    requesting_team: Short
    business_justification: Text
    #: Who first wanted it: `person:owner` or `team/member`.
    requester: Short


class TaskAssignment(Strict):
    """Work for a team, in natural language."""

    text: Text


class CreativeFreedom(Strict):
    """Where a team shall use its own ideas, and where not (F10)."""

    encouraged: tuple[Short, ...] = Field(default=(), max_length=12)
    avoid: tuple[Short, ...] = Field(default=(), max_length=12)


class Directive(Strict):
    """A decision handed down with what a team needs to carry it out its own way, or to push back (F10)."""

    decision: Text
    rationale: Text
    constraints: tuple[Short, ...] = Field(default=(), max_length=12)
    success_metrics: tuple[Short, ...] = Field(default=(), max_length=12)
    freedom: CreativeFreedom = CreativeFreedom()
    #: The outcome wanted, not the way to it.
    delegation: Text
    check_ins: tuple[Short, ...] = Field(default=(), max_length=12)


class ChangeEvent(Strict):
    """A nudge: something happened to this change; read its state again."""

    change: int = Field(ge=1)


class Incident(Strict):
    """A nudge: this team, deployed at this tree, is ill."""

    team: Short
    tree: Short
    reason: Text


Payload = PersonMessage | TeamCreationRequest | TaskAssignment | Directive | ChangeEvent | Incident | AnyProjectMessage

PAYLOADS: Mapping[str, type[Payload]] = {
    "person_message": PersonMessage,
    "team_creation_request": TeamCreationRequest,
    "task": TaskAssignment,
    "directive": Directive,
    "change_event": ChangeEvent,
    "incident": Incident,
    **PROJECT_PAYLOADS,
}


class Envelope(Strict):
    """The data part of a message between teams (F24)."""

    kind: Kind
    correlation_id: Id
    deadline: AwareDatetime | None = None
    priority: Priority = "normal"
    success_criteria: tuple[Short, ...] = Field(default=(), max_length=12)
    context: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue], max_length=32)
    payload: Payload

    @field_validator("payload", mode="before")
    @classmethod
    def _is_the_payload_of_its_kind(cls, value: object, info: ValidationInfo) -> object:
        kind: object = info.data.get("kind")
        wanted = PAYLOADS.get(kind) if isinstance(kind, str) else None
        if wanted is None or isinstance(value, wanted):
            return value
        return wanted.model_validate(value)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(json.dumps(self.context)) > MAX_CONTEXT_BYTES:
            raise ValueError(f"context is larger than {MAX_CONTEXT_BYTES} bytes; send a reference instead")
        if self.kind in NEEDS_CRITERIA and not self.success_criteria:
            raise ValueError(f"a {self.kind} needs success_criteria: say what counts as done")
        return self

    def to_data(self) -> dict[str, Any]:
        """The JSON object that travels."""
        return self.model_dump(mode="json")


def parse_envelope(data: object) -> Envelope:
    """The envelope in a data part. `MessageRefused` with the sentence to show."""
    if not isinstance(data, Mapping):
        raise MessageRefused("The message's data must be an object with a 'kind' and a 'payload'.")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in PAYLOADS:
        raise MessageRefused(f"Nobody here understands messages of kind {kind!r:.60}; known are {', '.join(PAYLOADS)}.")
    try:
        return Envelope.model_validate(data)
    except ValidationError as error:
        raise MessageRefused(f"The {kind} is refused: {first_fault(error)}.") from error


def first_fault(error: ValidationError) -> str:
    """The first thing wrong, as `where: what`, without echoing the value."""
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    what = "is not a known field" if fault["type"] == "extra_forbidden" else fault["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what


ReplyState = Literal["completed", "input_required", "failed", "rejected"]


class Reply(Strict):
    """What a team answered: its words, and the data that code wrote."""

    state: ReplyState
    text: str
    data: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


class Effect(Strict):
    """Something that really crossed to another team during a run, recorded by code and not by a model."""

    kind: Literal["asked_team", "requested_team", "sent_message"]
    team: Short
    result: Reply


class PushBack(Strict):
    """A team's no to what it was told to do, with the reason and what would work instead (F10)."""

    reason: Text
    proposal: str = Field(default="", max_length=MAX_TEXT)


class Report(Strict):
    """The data of an ordinary team's reply. A rejected one says why in `push_back`."""

    effects: tuple[Effect, ...] = ()
    push_back: PushBack | None = None


class Outcome(Strict):
    """The data of the DevOps team's reply."""

    outcome: Literal["proposed", "covered", "question", "refused", "active", "rejected", "reverted", "held"]
    change: int | None = None
    team: str | None = None
    #: The tool server it is about, where it is not about a team, and its tools as they are called.
    server: str | None = None
    tools: tuple[str, ...] = ()
    question: str | None = None
    reasons: tuple[str, ...] = ()
    #: What a person does next, if anything.
    next_step: str | None = None
    verdict: dict[str, JsonValue] | None = None
    #: Decimal US dollars, as text.
    forecast_usd_month: str | None = Field(default=None, pattern=r"^\d+(\.\d+)?$")
