"""Anthropic behind the door, by its LangChain chat model.

One try each: no client here retries by itself. What a provider says wrong becomes `ProviderFailed`, with whether it was free.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

import anthropic
import httpx2
from langchain_anthropic import ChatAnthropic
from langchain_core.exceptions import LangChainException
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from langchain_core.runnables import Runnable

from mcp_servers.gateway.chat import Answer, ChatRequest, FinishReason, Piece, ProviderFailed, credible_tokens
from mcp_servers.gateway.failures import FINISH, status_failure

#: What clients raise when an answer is not what its wire promises (JSON, fields, types).
_MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, LangChainException)
#: Anthropic's SDK stands on httpx2.
_CONNECTIONS = (anthropic.AnthropicError, httpx2.HTTPError)
_TIMEOUTS = (anthropic.APITimeoutError, httpx2.TimeoutException)
_NEVER_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout)
_CACHE_WRITES = ("cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
FAILURES = (*_CONNECTIONS, *_MALFORMED)


class LangChainProvider:
    """A LangChain chat model of Anthropic's."""

    def __init__(self, model: ChatAnthropic, name: str) -> None:
        self._model = model
        self._name = name
        #: Some models take no temperature: their client says so before anything is sent. A hint is then left out.
        self._takes_sampling = True

    async def answer(self, request: ChatRequest, purpose: str) -> Answer:
        try:
            message = await self._bound(request).ainvoke(_messages(request))
            return _answer(message)
        except ValueError as error:
            if self._leaves_sampling_out(error):
                return await self.answer(request, purpose)
            raise failure(self._name, error) from error
        except FAILURES as error:
            raise failure(self._name, error) from error

    async def stream(self, request: ChatRequest, purpose: str) -> AsyncGenerator[Piece]:
        calls: dict[str | int | None, int] = {}
        finish, started = None, False
        try:
            async for chunk in self._bound(request).astream(_messages(request)):
                piece = _piece(chunk, calls)
                started = started or bool(piece.delta)
                finish = piece.finish_reason or finish
                if piece.delta or piece.tokens:
                    yield Piece(piece.delta, None, piece.tokens)
        except FAILURES as error:
            if started or not self._leaves_sampling_out(error):
                raise failure(self._name, error, started=started) from error
            async for piece in self.stream(request, purpose):
                yield piece
            return
        if finish is None:
            raise ProviderFailed(f"{self._name} ended its answer in the middle; ask again.", "broken", free=False)
        yield Piece(finish_reason="tool_calls" if calls and finish == "stop" else finish)

    def _bound(self, request: ChatRequest) -> Runnable[Any, BaseMessage]:
        options = _anthropic_options(request, sampling=self._takes_sampling)
        if not request.tools:
            return self._model.bind(**options)
        tools = [tool.model_dump(exclude_none=True) for tool in request.tools]
        return self._model.bind_tools(tools, **options, **_anthropic_choice(request))

    def _leaves_sampling_out(self, error: Exception) -> bool:
        """Whether the client refused a sampling hint before it sent anything; from now on this model gets none."""
        refused = isinstance(error, ValueError) and "is not supported for" in str(error) and self._takes_sampling
        self._takes_sampling = self._takes_sampling and not refused
        return refused


def failure(name: str, error: Exception, *, started: bool = False) -> ProviderFailed:
    """What a client's exception means. `started`: part of an answer had come already."""
    if _never_connected(error):
        return ProviderFailed(f"{name} cannot be reached; check its address and the network.", "unreachable", free=True)
    if isinstance(error, _TIMEOUTS):
        return ProviderFailed(f"{name} did not answer in time; ask again later.", "timeout", free=False)
    if isinstance(error, anthropic.APIStatusError) and not started:
        if error.status_code == 200:
            # An error event at the head of a stream that was accepted; what it charged is not known.
            return ProviderFailed(
                f"{name} is failing; ask again later (it says so in its stream).", "outage", free=False
            )
        return status_failure(name, error.status_code, str(error.body))
    if started or isinstance(error, _CONNECTIONS):
        return ProviderFailed(f"The connection to {name} broke; ask again.", "broken", free=False)
    what = type(error).__name__
    return ProviderFailed(
        f"{name} sent an answer that does not follow its own format ({what}).", "malformed", free=False
    )


def _messages(request: ChatRequest) -> list[BaseMessage]:
    # `content` must be there, also where it is null.
    return convert_to_messages(
        [{"content": None} | message.model_dump(exclude_none=True) for message in request.messages]
    )


def _anthropic_options(request: ChatRequest, *, sampling: bool) -> dict[str, Any]:
    """What Anthropic's wire knows; seed and penalties are hints that it has no place for."""
    known = {"temperature", "top_p", "reasoning_effort"} if sampling else {"reasoning_effort"}
    options = request.model_dump(include=known, exclude_none=True)
    options["max_tokens"] = request.most_tokens_out
    if request.stop is not None:
        options["stop"] = [request.stop] if isinstance(request.stop, str) else request.stop
    if request.response_format:
        options["response_format"] = _anthropic_format(request.response_format)
    if request.tools and request.parallel_tool_calls is not None:
        options["parallel_tool_calls"] = request.parallel_tool_calls
    return options


def _anthropic_format(wanted: Mapping[str, Any]) -> dict[str, Any]:
    schema = wanted["json_schema"]["schema"] if wanted["type"] == "json_schema" else {"type": "object"}
    return {"type": "json_schema", "json_schema": {"schema": schema}}


def _anthropic_choice(request: ChatRequest) -> dict[str, Any]:
    if request.tool_choice == "required":
        return {"tool_choice": "any"}
    if request.tool_choice == "none":
        return {"tool_choice": {"type": "none"}}
    return {"tool_choice": request.chosen_tool or request.tool_choice}


def _answer(message: BaseMessage) -> Answer:
    if not isinstance(message, AIMessage):
        raise TypeError("the model's answer is not an assistant message")
    wire: dict[str, Any] = {"role": "assistant", "content": str(message.text) or None}
    if refusal := message.additional_kwargs.get("refusal"):
        wire["refusal"] = refusal
    calls = [_call(call["id"], call["name"], json.dumps(call["args"])) for call in message.tool_calls]
    calls += [_call(call["id"], call["name"], call["args"]) for call in message.invalid_tool_calls]
    if calls:
        wire["tool_calls"] = calls
    finish = _finish(message.response_metadata)
    if finish is None:
        raise ValueError("the model's answer does not say why it ended")
    return Answer(wire, "tool_calls" if calls and finish == "stop" else finish, _tokens(message))


def _call(call_id: str | None, name: str | None, arguments: str | None) -> dict[str, Any]:
    return {"id": call_id or "", "type": "function", "function": {"name": name or "", "arguments": arguments or "{}"}}


def _piece(chunk: BaseMessage, calls: dict[str | int | None, int]) -> Piece:
    """A chunk as a delta. `calls` maps the provider's index of a tool call to ours, which counts from 0."""
    if not isinstance(chunk, AIMessageChunk):
        raise TypeError("the model's stream holds something that is not a part of an answer")
    delta: dict[str, Any] = {}
    if text := str(chunk.text):
        delta["content"] = text
    parts: list[dict[str, Any]] = []
    for call in chunk.tool_call_chunks:
        index = calls.setdefault(call.get("index"), len(calls))
        function: dict[str, Any] = {"arguments": call["args"] or ""}
        part: dict[str, Any] = {"index": index, "function": function}
        if call["name"]:
            function["name"] = call["name"]
            part |= {"id": call["id"] or "", "type": "function"}
        parts.append(part)
    if parts:
        delta["tool_calls"] = parts
    return Piece(delta, _finish(chunk.response_metadata), _tokens(chunk))


def _finish(metadata: Mapping[str, Any]) -> FinishReason | None:
    said = metadata.get("finish_reason") or metadata.get("stop_reason")
    return FINISH.get(str(said), "stop") if said else None


def _tokens(message: AIMessage) -> Any:
    usage = message.usage_metadata
    if usage is None:
        return None
    details = cast("Mapping[str, Any]", usage.get("input_token_details") or {})
    # What was written to a cache is said as a whole, or by how long it is kept.
    written = sum(details.get(key) or 0 for key in _CACHE_WRITES)
    return credible_tokens(usage["input_tokens"], usage["output_tokens"], details.get("cache_read"), written)


def _never_connected(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _NEVER_CONNECTED):
            return True
        cause = cause.__cause__
    return False
