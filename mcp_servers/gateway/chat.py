"""A chat request and its answer, in OpenAI's terms: what comes in at the door and what every provider is given and gives back."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol, Self, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from mcp_servers.gateway.prices import Tokens

DEFAULT_MAX_TOKENS = 4096
#: More answers to one request than this are not made.
MOST_ANSWERS = 8
#: Room in the upper bound for what a provider adds to a request by itself, such as its instructions for tools.
OVERHEAD_TOKENS = 1000
OVERHEAD_TOKENS_MESSAGE = 16
#: The most any provider counts for one image: 48,169 of gpt-4o-mini, at its highest detail.
IMAGE_TOKENS = 50_000

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Function(BaseModel):
    """A tool's function. Fields we do not know go to the provider as they are."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Literal["function"]
    function: Function


class FunctionCall(BaseModel):
    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    arguments: str


class ToolCall(BaseModel):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class Part(BaseModel):
    """A part of a message's content. Its other fields go to the provider as they are."""

    model_config = ConfigDict(extra="allow")

    type: Literal["text", "image_url", "refusal"]


class Message(BaseModel):
    """One message. Fields we do not know, such as a member's name, go to the provider as they are."""

    model_config = ConfigDict(extra="allow")

    role: Role
    content: str | list[Part] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _answers_a_call(self) -> Self:
        if self.role == "tool" and not self.tool_call_id:
            raise ValueError("a tool message needs the tool_call_id it answers")
        if self.role == "assistant" and self.content is None and not self.tool_calls:
            raise ValueError("an assistant message needs content or tool_calls")
        return self


def _said(message: Message) -> tuple[object, ...]:
    content = message.content
    parts = content if content is None or isinstance(content, str) else [part.model_dump() for part in content]
    calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    return message.role, parts, calls


def _picture(part: Part) -> int:
    """How many bytes of the part are an image's own, in base64."""
    given = (part.model_extra or {}).get("image_url")
    url: object = cast("dict[str, Any]", given).get("url") if isinstance(given, dict) else given
    head, found, picture = str(url or "").partition(";base64,")
    return len(picture) if found and head.startswith("data:image/") else 0


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """The body of POST /v1/chat/completions. A field that is not here is refused rather than ignored."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    messages: list[Message] = Field(min_length=1, max_length=2000)
    tools: list[Tool] | None = Field(default=None, max_length=128)
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    seed: int | None = None
    reasoning_effort: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    prompt_cache_key: Annotated[str, StringConstraints(max_length=200)] | None = None
    service_tier: Any = None
    # Only models of OpenAI's wire know these.
    n: int | None = Field(default=None, ge=1, le=MOST_ANSWERS)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = Field(default=None, max_length=1000)
    # Said by clients, of no consequence for the answer; who calls is known by the token.
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    functions: Any = None
    function_call: Any = None

    @field_validator("stream", mode="before")
    @classmethod
    def _null_is_false(cls, value: object) -> object:
        return False if value is None else value

    @field_validator("functions", "function_call")
    @classmethod
    def _is_no_longer_said(cls, value: object) -> None:
        if value is not None:
            raise ValueError("is the old way; use tools and tool_choice")

    @field_validator("store")
    @classmethod
    def _keeps_nothing(cls, value: bool | None) -> bool | None:
        if value:
            raise ValueError("what the company says is kept at no provider; leave it out, or say false")
        return value

    @field_validator("service_tier")
    @classmethod
    def _is_at_list_price(cls, value: object) -> object:
        if value not in (None, "auto", "default"):
            raise ValueError("must be 'auto' or 'default': other tiers have other prices than those that are held")
        return value

    @field_validator("response_format")
    @classmethod
    def _is_a_known_format(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is None:
            return None
        kind, schema = value.get("type"), value.get("json_schema")
        if kind not in ("text", "json_object", "json_schema"):
            raise ValueError("type must be 'text', 'json_object' or 'json_schema'")
        if kind == "json_schema" and not (isinstance(schema, dict) and isinstance(schema.get("schema"), dict)):
            raise ValueError("a json_schema format needs json_schema.name and json_schema.schema")
        return None if kind == "text" else value

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        names = [tool.function.name for tool in self.tools or ()]
        if len(set(names)) != len(names):
            raise ValueError("tools: names must differ")
        if isinstance(self.tool_choice, str) and self.tool_choice not in ("none", "auto", "required"):
            raise ValueError("tool_choice: must be 'none', 'auto', 'required' or a function")
        if self.tool_choice not in (None, "none", "auto") and not names:
            raise ValueError("tool_choice: asks for a tool, but there are no tools")
        if isinstance(self.tool_choice, dict) and self.chosen_tool not in names:
            raise ValueError("tool_choice: names a function that is not among the tools")
        return self

    @property
    def chosen_tool(self) -> str | None:
        """The tool that must be called, if tool_choice names one."""
        if not isinstance(self.tool_choice, dict):
            return None
        function = self.tool_choice.get("function")
        return function.get("name") if isinstance(function, dict) else None

    @property
    def answers(self) -> int:
        """How many answers are asked for."""
        return self.n or 1

    @property
    def openai_only(self) -> str | None:
        """A field that only models of OpenAI's wire can do something with; None: any model will do."""
        wanted = {"n": self.answers > 1, "logprobs": self.logprobs, "top_logprobs": self.top_logprobs}
        wanted |= {"logit_bias": self.logit_bias}
        return next((name for name, value in wanted.items() if value), None)

    @property
    def most_tokens_out(self) -> int:
        """The longest single answer, in tokens; always sent to the provider, so that it binds."""
        given = [most for most in (self.max_tokens, self.max_completion_tokens) if most is not None]
        return min(given, default=DEFAULT_MAX_TOKENS)

    def most_tokens_in(self, body_bytes: int) -> int:
        """No fewer tokens than any provider will count: a token has at least one byte, and images their known maximum.

        An image's own bytes are no text: held as such, no photo would fit any budget.
        """
        images = [
            part
            for message in self.messages
            if isinstance(message.content, list)
            for part in message.content
            if part.type == "image_url"
        ]
        text = body_bytes - sum(map(_picture, images))
        return text + OVERHEAD_TOKENS + OVERHEAD_TOKENS_MESSAGE * len(self.messages) + IMAGE_TOKENS * len(images)

    @property
    def characters(self) -> int:
        """How much text the messages have, without what describes tools and forms."""
        return sum(len(message.content) for message in self.messages if isinstance(message.content, str))

    @property
    def turn(self) -> bytes:
        """Where the conversation stands: its last two messages, without ids. Two requests of equal turn have learned the same."""
        return repr([_said(message) for message in self.messages[-2:]]).encode(errors="replace")

    def wire(self) -> dict[str, Any]:
        """The request as it was sent, without fields that were not set."""
        return self.model_dump(mode="json", exclude_none=True, exclude={"user", "metadata", "store", "n"})


@dataclass(frozen=True)
class Answer:
    """A whole answer. `message` is OpenAI's assistant message; `tokens` is None if the provider did not credibly say."""

    message: dict[str, Any]
    finish_reason: FinishReason
    tokens: Tokens | None
    logprobs: dict[str, Any] | None = None
    #: Further answers, where several were asked for; `tokens` of the first counts them all.
    others: tuple[Answer, ...] = ()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Of all answers."""
        return [self.message, *(other.message for other in self.others)]


@dataclass(frozen=True)
class Piece:
    """A part of a streamed answer: OpenAI's `delta`, and at the end why it ended and what it took. `index`: of which answer."""

    delta: dict[str, Any] = field(default_factory=dict[str, Any])
    finish_reason: FinishReason | None = None
    tokens: Tokens | None = None
    index: int = 0
    logprobs: dict[str, Any] | None = None


class ChatProvider(Protocol):
    """Something that answers chat requests. Raises `ProviderFailed`."""

    async def answer(self, request: ChatRequest, purpose: str) -> Answer: ...
    def stream(self, request: ChatRequest, purpose: str) -> AsyncIterator[Piece]: ...


Failure = Literal[
    "quota",  # the provider's own: no money or calls left there
    "rate_limit",
    "outage",
    "unreachable",
    "timeout",
    "malformed",  # an answer that does not follow its own format
    "broken",  # an answer that began and did not end
    "key_refused",
    "no_such_model",
    "too_long",  # for this model's window: the next link's may be larger
    "not_accepted",  # the request itself: no other provider is asked
]


class ProviderFailed(Exception):
    """A provider did not answer. `free`: it certainly did no work that it could charge. `kind` is for the usage row.

    `code`: what is wrong with the request, in one of the words that clients know (see `failures`).
    """

    def __init__(self, message: str, kind: Failure, *, free: bool, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.kind: Failure = kind
        self.free = free


def credible_tokens(given: object, output: object, cache_read: object = 0, cache_write: object = 0) -> Tokens | None:
    """Token counts a provider reported, or None if they cannot be true: missing, negative, fractional, or all zero."""
    counts = [_count(value) for value in (given, output, cache_read or 0, cache_write or 0)]
    if any(count is None for count in counts):
        return None
    tokens_in, tokens_out, read, write = (count or 0 for count in counts)
    if tokens_in == 0 or read + write > tokens_in:
        return None
    return Tokens(tokens_in, tokens_out, read, write)


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) and 0 <= value < 1e9 else None
