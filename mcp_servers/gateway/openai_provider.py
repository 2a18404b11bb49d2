"""Any server that speaks OpenAI's wire, spoken to in that wire: what the member sent goes on unchanged, but for model and bounds.

Between two ends of one format there is nothing to translate, and a translation there and back took more of the gateway than all
the rest of a call. One try; what a server says wrong becomes `ProviderFailed`, with whether it was free.
"""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, cast

import aiohttp
from pydantic_core import from_json, to_json

from mcp_servers.gateway.chat import (
    MOST_ANSWERS,
    Answer,
    ChatRequest,
    FinishReason,
    Piece,
    ProviderFailed,
    credible_tokens,
)
from mcp_servers.gateway.failures import FINISH, status_failure
from mcp_servers.gateway.lexical import Embedded, Texts
from mcp_servers.gateway.prices import Tokens

T = TypeVar("T")

#: More than any model answers.
_MOST_BYTES = 50_000_000
_MOST_ERROR_BYTES = 64_000
_AT_ONCE = 1_000_000
_MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError)
_PASSED_ON = frozenset(
    (
        *("tools", "tool_choice", "parallel_tool_calls", "response_format", "stop", "temperature", "top_p", "seed"),
        *("presence_penalty", "frequency_penalty", "reasoning_effort", "verbosity", "prompt_cache_key", "service_tier"),
        *("n", "logprobs", "top_logprobs", "logit_bias"),
    )
)


@dataclass(frozen=True)
class Server:
    """Where it is, and how it wants the longest answer named: old servers know `max_tokens` only, OpenAI's newer models not."""

    url: str
    key: str
    most_tokens_field: Literal["max_tokens", "max_completion_tokens"]
    #: Shared; it retries nothing. Asked for inside the event loop.
    session: Callable[[], aiohttp.ClientSession]


class OpenAIProvider:
    """One model of a server, for chat or for embeddings. No redirect is followed with our key."""

    def __init__(self, server: Server, model: str, name: str) -> None:
        self._server, self._model, self._name = server, model, name

    async def answer(self, request: ChatRequest, purpose: str) -> Answer:
        del purpose
        found = await self._asked("chat/completions", self._body(request), _answer)
        return replace(found, others=found.others[: request.answers - 1]) if found.others else found

    async def embed(self, texts: Texts, dimensions: int | None) -> Embedded:
        """One vector for each text."""
        body: dict[str, Any] = {"model": self._model, "input": texts, "encoding_format": "float"}
        body |= {} if dimensions is None else {"dimensions": dimensions}
        return await self._asked("embeddings", body, lambda answer: _embedded(answer, len(texts)))

    async def stream(self, request: ChatRequest, purpose: str) -> AsyncGenerator[Piece]:
        del purpose
        body = self._body(request) | {"stream": True, "stream_options": {"include_usage": True}}
        reading = _Reading(request.answers)
        try:
            async with self._post("chat/completions", body) as response:
                if response.status != 200 or "json" in response.content_type:
                    await self._read(response)
                async for event in _events(response):
                    for piece in reading.pieces(from_json(event)):
                        yield piece
        except (aiohttp.ClientError, OSError) as error:
            raise self._broken(error) from error
        except _MALFORMED as error:
            raise self._malformed(error) from error
        if not reading.ended:
            if not reading.chunks:
                raise self._malformed(ValueError("no event"))
            raise ProviderFailed(f"{self._name} ended its answer in the middle; ask again.", "broken", free=False)
        for piece in reading.last():
            yield piece

    async def _asked(self, path: str, body: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        try:
            async with self._post(path, body) as response:
                raw = await self._read(response)
            return read(from_json(raw))
        except (aiohttp.ClientError, OSError) as error:
            raise self._broken(error) from error
        except _MALFORMED as error:
            raise self._malformed(error) from error

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body = request.model_dump(mode="json", include=set(_PASSED_ON), exclude_none=True)
        # `content` must be there, also where it is null.
        messages = [{"content": None} | message.model_dump(exclude_none=True) for message in request.messages]
        return body | {
            "model": self._model,
            "messages": messages,
            self._server.most_tokens_field: request.most_tokens_out,
        }

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        headers = {"authorization": f"Bearer {self._server.key}", "content-type": "application/json"}
        url = f"{self._server.url.rstrip('/')}/{path}"
        raw = to_json(body)
        # A large one goes out in parts, so that others have their turn meanwhile.
        data = raw if len(raw) <= _AT_ONCE else io.BytesIO(raw)
        return self._server.session().post(url, data=data, headers=headers, allow_redirects=False)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The whole body of a good answer. Raises `ProviderFailed` for any other."""
        if response.status != 200:
            said = await response.content.read(_MOST_ERROR_BYTES)
            raise status_failure(self._name, response.status, said.decode(errors="replace"), [self._server.key])
        raw = bytearray()
        async for part in response.content.iter_any():
            raw += part
            if len(raw) > _MOST_BYTES:
                raise ValueError("an answer without end")
        return bytes(raw)

    def _broken(self, error: Exception) -> ProviderFailed:
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            text = f"{self._name} cannot be reached; check its address and the network."
            return ProviderFailed(text, "unreachable", free=True)
        if isinstance(error, TimeoutError):
            return ProviderFailed(f"{self._name} did not answer in time; ask again later.", "timeout", free=False)
        return ProviderFailed(f"The connection to {self._name} broke; ask again.", "broken", free=False)

    def _malformed(self, error: Exception) -> ProviderFailed:
        what = type(error).__name__
        text = f"{self._name} sent an answer that does not follow its own format ({what})."
        return ProviderFailed(text, "malformed", free=False)


@dataclass
class _Reading:
    """What a stream has said so far, of so many answers."""

    answers: int = 1
    chunks: int = 0
    #: By answer: why it ended, None while it has not; and the server's index of a tool call -> ours, which counts from 0.
    finish: dict[int, FinishReason | None] = field(default_factory=dict[int, FinishReason | None])
    calls: dict[int, dict[object, int]] = field(default_factory=dict[int, dict[object, int]])

    @property
    def ended(self) -> bool:
        """Whether every answer that began has come to its end."""
        return bool(self.finish) and all(self.finish.values())

    def pieces(self, chunk: dict[str, Any]) -> Generator[Piece]:
        if chunk.get("error"):
            raise ValueError("the server reports an error in its stream")
        self.chunks += 1
        for choice in chunk["choices"]:
            # A server that does not count has one answer.
            index: int = choice.get("index") or 0
            if not 0 <= index < self.answers:
                continue
            said: Mapping[str, Any] = choice.get("delta") or {}
            delta: dict[str, Any] = {key: said[key] for key in ("content", "refusal") if said.get(key)}
            if parts := said.get("tool_calls"):
                delta["tool_calls"] = [self._part(self.calls.setdefault(index, {}), part) for part in parts]
            reason = choice.get("finish_reason")
            self.finish[index] = FINISH.get(str(reason), "stop") if reason else self.finish.get(index)
            if delta or choice.get("logprobs"):
                yield Piece(delta, index=index, logprobs=choice.get("logprobs"))
        if tokens := _tokens(chunk.get("usage")):
            yield Piece(tokens=tokens)

    def last(self) -> Generator[Piece]:
        """Why each answer ended."""
        for index, finish in sorted(self.finish.items()):
            yield Piece(
                finish_reason="tool_calls" if self.calls.get(index) and finish == "stop" else finish, index=index
            )

    def _part(self, calls: dict[object, int], part: Mapping[str, Any]) -> dict[str, Any]:
        given: Mapping[str, Any] = part.get("function") or {}
        function: dict[str, Any] = {"arguments": given.get("arguments") or ""}
        # A server that counts nothing sends each call whole, with an id of its own.
        key = part.get("index", part.get("id"))
        made: dict[str, Any] = {"index": calls.setdefault(key, len(calls)), "function": function}
        if given.get("name"):
            function["name"] = given["name"]
            made |= {"id": part.get("id") or "", "type": "function"}
        return made


async def _events(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    """The data of each server-sent event, until `[DONE]`."""
    buffer = b""
    async for part in response.content.iter_any():
        *lines, buffer = (buffer + part).split(b"\n")
        if len(buffer) > _MOST_BYTES:
            raise ValueError("an event without end")
        for line in lines:
            name, _, data = line.strip().partition(b":")
            data = data.strip()
            if data == b"[DONE]":
                return
            if name == b"data" and data:
                yield data


def _answer(body: dict[str, Any]) -> Answer:
    first, *others = [_one(choice) for choice in body["choices"][:MOST_ANSWERS]]
    return replace(first, tokens=_tokens(body.get("usage")), others=tuple(others))


def _one(choice: dict[str, Any]) -> Answer:
    said: Mapping[str, Any] = choice["message"]
    message: dict[str, Any] = {"role": "assistant", "content": _text(said.get("content"))}
    if refusal := said.get("refusal"):
        message["refusal"] = str(refusal)
    if calls := [_call(call) for call in said.get("tool_calls") or ()]:
        message["tool_calls"] = calls
    finish = FINISH.get(_said(choice["finish_reason"]), "stop")
    ended = "tool_calls" if calls and finish == "stop" else finish
    return Answer(message, ended, None, choice.get("logprobs"))


def _embedded(body: dict[str, Any], texts: int) -> Embedded:
    rows = sorted(body["data"], key=lambda row: row["index"])
    vectors = [[float(value) for value in row["embedding"]] for row in rows]
    if [row["index"] for row in rows] != list(range(texts)) or not all(vectors):
        raise ValueError("there must be one vector for each text")
    usage: Any = body.get("usage")
    return Embedded(vectors, credible_tokens(usage.get("prompt_tokens"), 0) if usage else None)


def _said(reason: object) -> str:
    if not isinstance(reason, str) or not reason:
        raise ValueError("the answer does not say why it ended")
    return reason


def _text(content: object) -> str | None:
    if content is None or isinstance(content, str):
        return content or None
    parts = cast("list[dict[str, Any]]", content)
    return "".join(str(part.get("text", "")) for part in parts) or None


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = function.get("arguments") or "{}"
    if not isinstance(arguments, str):
        arguments = to_json(arguments).decode()
    return {
        "id": str(call.get("id") or ""),
        "type": "function",
        "function": {"name": str(function["name"]), "arguments": arguments},
    }


def _tokens(usage: Any) -> Tokens | None:
    if not isinstance(usage, dict):
        return None
    counts = cast("dict[str, Any]", usage)
    details: Any = counts.get("prompt_tokens_details")
    cached = cast("dict[str, Any]", details).get("cached_tokens") if isinstance(details, dict) else 0
    tokens = credible_tokens(counts.get("prompt_tokens"), counts.get("completion_tokens"), cached)
    # Some servers count what a model thinks in the total alone, and charge for it.
    total = credible_tokens(counts.get("total_tokens"), 0)
    if tokens is None or total is None or total.input <= tokens.input + tokens.output:
        return tokens
    return replace(tokens, output=total.input - tokens.input)
