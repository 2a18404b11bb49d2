"""LangChain's messages in OpenAI's terms: the request on its way there, the answer on its way back, whole or in pieces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from langchain_core.messages.ai import UsageMetadata, add_usage

from mcp_servers.gateway.chat import Answer, ChatRequest, FinishReason, Piece, credible_tokens
from mcp_servers.gateway.failures import FINISH

#: The tool by which an answer in a wanted form is asked for where a class has no other way; it never leaves the gateway's side.
ANSWER_TOOL = "elf_answer_in_this_form"
_CACHE_WRITES = ("cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
#: How classes name the reason to end: OpenAI's kin, Anthropic, Ollama, Amazon.
_REASONS = ("finish_reason", "stop_reason", "done_reason", "stopReason")


def messages(request: ChatRequest) -> list[BaseMessage]:
    # `content` must be there, also where it is null.
    return convert_to_messages(
        [{"content": None} | message.model_dump(exclude_none=True) for message in request.messages]
    )


def answer(message: BaseMessage) -> Answer:
    """Raises `TypeError` or `ValueError` for what is no whole answer."""
    if not isinstance(message, AIMessage):
        raise TypeError("the model's answer is not an assistant message")
    formed = [json.dumps(call["args"]) for call in message.tool_calls if call["name"] == ANSWER_TOOL]
    wire: dict[str, Any] = {"role": "assistant", "content": "".join((str(message.text), *formed)) or None}
    if refusal := message.additional_kwargs.get("refusal"):
        wire["refusal"] = refusal
    calls = [
        _call(call["id"], call["name"], json.dumps(call["args"]))
        for call in message.tool_calls
        if call["name"] != ANSWER_TOOL
    ]
    calls += [_call(call["id"], call["name"], call["args"]) for call in message.invalid_tool_calls]
    if calls:
        wire["tool_calls"] = calls
    finish = _finish(message.response_metadata)
    if finish is None:
        raise ValueError("the model's answer does not say why it ended")
    return Answer(wire, _ended(finish, calls=bool(calls), formed=bool(formed)), _tokens(message.usage_metadata))


@dataclass
class Reading:
    """What a stream has said so far."""

    #: Whether something of the answer has come.
    started: bool = False
    finish: FinishReason | None = None
    usage: UsageMetadata | None = None
    #: The provider's index of a tool call -> ours, which counts from 0.
    calls: dict[object, int] = field(default_factory=dict[object, int])
    #: The indices of calls of `ANSWER_TOOL`.
    formed: set[object] = field(default_factory=set[object])

    def piece(self, chunk: BaseMessage) -> Piece | None:
        """The part as a delta; None if there is nothing to give out. Counts of tokens add up, as LangChain has it."""
        if not isinstance(chunk, AIMessage):
            raise TypeError("the model's stream holds something that is not a part of an answer")
        self.finish = _finish(chunk.response_metadata) or self.finish
        if chunk.usage_metadata is not None:
            self.usage = add_usage(self.usage, chunk.usage_metadata)
        text = str(chunk.text)
        parts: list[dict[str, Any]] = []
        for number, call in enumerate(_call_chunks(chunk)):
            key = call.get("index")
            # Who counts nothing sends each call whole, with an id of its own.
            key = (call["id"] or number) if key is None else key
            if call["name"] == ANSWER_TOOL or key in self.formed:
                self.formed.add(key)
                text += call["args"] or ""
            else:
                parts.append(self._part(key, call))
        delta: dict[str, Any] = ({"content": text} if text else {}) | ({"tool_calls": parts} if parts else {})
        self.started = self.started or bool(delta)
        return Piece(delta) if delta else None

    def last(self) -> Piece | None:
        """Why it ended and what it took; None if it did not say why, and so did not end."""
        if self.finish is None:
            return None
        finish = _ended(self.finish, calls=bool(self.calls), formed=bool(self.formed))
        return Piece(finish_reason=finish, tokens=_tokens(self.usage))

    def _part(self, key: object, call: Mapping[str, Any]) -> dict[str, Any]:
        function: dict[str, Any] = {"arguments": call["args"] or ""}
        part: dict[str, Any] = {"index": self.calls.setdefault(key, len(self.calls)), "function": function}
        if call["name"]:
            function["name"] = call["name"]
            part |= {"id": call["id"] or "", "type": "function"}
        return part


def _call_chunks(chunk: AIMessage) -> list[Mapping[str, Any]]:
    if isinstance(chunk, AIMessageChunk):
        return list(chunk.tool_call_chunks)
    # A class that cannot stream gives its whole answer at once.
    return [
        {"index": number, "id": call["id"], "name": call["name"], "args": json.dumps(call["args"])}
        for number, call in enumerate(chunk.tool_calls)
    ]


def _call(call_id: str | None, name: str | None, arguments: str | None) -> dict[str, Any]:
    return {"id": call_id or "", "type": "function", "function": {"name": name or "", "arguments": arguments or "{}"}}


def _finish(metadata: Mapping[str, Any]) -> FinishReason | None:
    said = next((metadata[name] for name in _REASONS if metadata.get(name)), None)
    return FINISH.get(str(said).lower(), "stop") if said else None


def _ended(finish: FinishReason, *, calls: bool, formed: bool) -> FinishReason:
    if calls and finish == "stop":
        return "tool_calls"
    return "stop" if formed and not calls and finish == "tool_calls" else finish


def _tokens(usage: UsageMetadata | None) -> Any:
    if usage is None:
        return None
    details = cast("Mapping[str, Any]", usage.get("input_token_details") or {})
    # What was written to a cache is said as a whole, or by how long it is kept.
    written = sum(details.get(key) or 0 for key in _CACHE_WRITES)
    return credible_tokens(usage["input_tokens"], usage["output_tokens"], details.get("cache_read"), written)
