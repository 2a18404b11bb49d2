"""What crosses between teams: one envelope, a typed payload a kind, and what comes back.

Both ends and the gateway read these, so they know nobody of ours. No message confers authority: that comes from the
gate alone. Numbers that travelled as A2A data arrive as floats (`3.0`); whole ones are read as integers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

MAX_TEXT = 20_000
MAX_HISTORY = 50
MAX_CONTEXT_BYTES = 32_000

#: Control characters (but tab and line breaks), direction overrides, lone surrogates and tags: nothing a person types.
#: Tags (U+E0000 on) spell words that a model reads and nobody sees.
_UNREADABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e0fff]"
)
#: What fills no space or only space, whatever strip() thinks of it.
_NOTHING_TO_SEE = re.compile(
    "[\\s\xad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0]*"
)


class MessageRefused(ValueError):
    """A message nobody acts on. Its text is one sentence that may be shown to whoever sent it."""


def _readable(text: str) -> str:
    if found := _UNREADABLE.search(text):
        raise ValueError(f"contains the control character U+{ord(found.group()):04X}; remove it and send again")
    if _NOTHING_TO_SEE.fullmatch(text):
        raise ValueError("there is nothing to see in it; say what you want")
    return text.replace("\r\n", "\n").replace("\r", "\n")


Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT),
    AfterValidator(_readable),
]
Short = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300), AfterValidator(_readable)
]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$", max_length=120)]
Priority = Literal["low", "normal", "high", "urgent"]
Kind = Literal["person_message", "team_creation_request", "task", "directive", "change_event", "incident"]


class Strict(BaseModel):
    """Frozen, and refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


Payload = PersonMessage | TeamCreationRequest | TaskAssignment | Directive | ChangeEvent | Incident

PAYLOADS: Mapping[str, type[Payload]] = {
    "person_message": PersonMessage,
    "team_creation_request": TeamCreationRequest,
    "task": TaskAssignment,
    "directive": Directive,
    "change_event": ChangeEvent,
    "incident": Incident,
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

    kind: Literal["asked_team", "requested_team"]
    team: Short
    result: Reply


class Report(Strict):
    """The data of an ordinary team's reply."""

    effects: tuple[Effect, ...] = ()


class Outcome(Strict):
    """The data of the DevOps team's reply."""

    outcome: Literal["proposed", "covered", "question", "refused", "active", "rejected", "reverted", "held"]
    change: int | None = None
    team: str | None = None
    question: str | None = None
    reasons: tuple[str, ...] = ()
    verdict: dict[str, JsonValue] | None = None
    #: Decimal US dollars, as text.
    forecast_usd_month: str | None = Field(default=None, pattern=r"^\d+(\.\d+)?$")
