"""A model provider that speaks OpenAI's, Anthropic's and Mistral's wire: programmable answers and failures, a journal of requests.

Usage is always set, so that no test of costs passes by counting nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse


@dataclass
class Reply:
    """What the provider does with one request."""

    text: str | None = "Hello from the provider."
    #: (name, arguments) of each tool call.
    tool_calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    tokens_in: float = 11
    tokens_out: float = 7
    finish: str | None = None
    status: int = 200
    #: Sent as it is instead of an answer.
    raw: str | None = None
    #: Other fields of `usage`.
    usage_more: dict[str, Any] = field(default_factory=dict[str, Any])
    #: Leaves `usage` out.
    without_usage: bool = False
    #: Waits so long before it answers.
    seconds: float = 0
    #: Waits so long between two chunks of a stream.
    seconds_between: float = 0
    #: Ends the stream, says an error in it, or says nothing any more, after so many chunks.
    break_after: int | None = None
    error_after: int | None = None
    hang_after: int | None = None


@dataclass
class Provider:
    """The stand-in's state: what it will answer (then `default`), and what it was asked."""

    default: Reply = field(default_factory=Reply)
    script: deque[Reply] = field(default_factory=deque[Reply])
    journal: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/v1/chat/completions")
        async def chat(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
            return await self._openai(request)

        @app.post("/mistral/v1/chat/completions")
        async def mistral(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
            return await self._openai(request, usage_at_end=True)

        @app.post("/v1/embeddings")
        async def embeddings(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
            return await self._embeddings(request)

        @app.post("/v1/messages")
        async def anthropic(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
            return await self._anthropic(request)

        return app

    async def _next(self, request: Request) -> tuple[dict[str, Any], Reply, Response | None]:
        body = await request.json()
        self.journal.append(body)
        self.headers.append(dict(request.headers))
        reply = self.script.popleft() if self.script else self.default
        await asyncio.sleep(reply.seconds)
        if reply.raw is not None:
            return body, reply, PlainTextResponse(reply.raw, reply.status)
        if reply.status != 200:
            error = {"message": "scripted failure", "type": "server_error", "code": None}
            return body, reply, JSONResponse({"error": error}, reply.status)
        return body, reply, None

    async def _openai(self, request: Request, *, usage_at_end: bool = False) -> Response:
        """`usage_at_end`: a stream's last chunk has the usage unasked, as Mistral's has."""
        body, reply, failure = await self._next(request)
        if failure is not None:
            return failure
        if body.get("stream"):
            events = _openai_events(body, reply, usage_at_end=usage_at_end)
            return StreamingResponse(events, media_type="text/event-stream")
        message: dict[str, Any] = {"role": "assistant", "content": reply.text}
        if reply.tool_calls:
            message["tool_calls"] = _calls(reply)
        choice = {"index": 0, "message": message, "finish_reason": _finish(reply)}
        answer = {"id": "c1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
        return Response(json.dumps(answer | _usage(reply)), media_type="application/json")

    async def _embeddings(self, request: Request) -> Response:
        body, reply, failure = await self._next(request)
        if failure is not None:
            return failure
        texts: list[Any] = body["input"]
        data = [
            {"object": "embedding", "index": number, "embedding": [number + 0.5, 1.0]} for number in range(len(texts))
        ]
        usage = {"prompt_tokens": reply.tokens_in, "total_tokens": reply.tokens_in}
        return JSONResponse({"object": "list", "model": body["model"], "data": data, "usage": usage})

    async def _anthropic(self, request: Request) -> Response:
        body, reply, failure = await self._next(request)
        if failure is not None:
            return failure
        if body.get("stream"):
            return StreamingResponse(_anthropic_events(body, reply), media_type="text/event-stream")
        content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
        for index, (name, arguments) in enumerate(reply.tool_calls):
            content.append({"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": arguments})
        usage = {"input_tokens": reply.tokens_in, "output_tokens": reply.tokens_out}
        stop = "tool_use" if reply.tool_calls else "end_turn"
        head = {"id": "m1", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
        return JSONResponse(head | {"content": content, "stop_reason": stop, "usage": usage})


def _finish(reply: Reply) -> str:
    return reply.finish or ("tool_calls" if reply.tool_calls else "stop")


def _usage(reply: Reply) -> dict[str, Any]:
    if reply.without_usage:
        return {}
    counts = {"prompt_tokens": reply.tokens_in, "completion_tokens": reply.tokens_out}
    return {"usage": counts | {"total_tokens": reply.tokens_in + reply.tokens_out}}


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for index, (name, arguments) in enumerate(reply.tool_calls)
    ]


async def _openai_events(body: dict[str, Any], reply: Reply, *, usage_at_end: bool = False) -> AsyncGenerator[bytes]:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in (reply.text or "").split(" ")] if reply.text else []
    for index, call in enumerate(_calls(reply)):
        arguments = call["function"]["arguments"]
        start = call | {"index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
        deltas += [{"tool_calls": [start]}]
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}]
    for number, delta in enumerate(deltas):
        if reply.break_after is not None and number >= reply.break_after:
            return
        if reply.error_after is not None and number >= reply.error_after:
            yield _event({"error": {"message": "The server had an error", "type": "server_error", "code": None}})
            return
        if reply.hang_after is not None and number >= reply.hang_after:
            await asyncio.sleep(60)
        await asyncio.sleep(reply.seconds_between)
        yield _event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    last = head | {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": _finish(reply)}]}
    yield _event(last | (_usage(reply) if usage_at_end else {}))
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _event(head | {"choices": []} | _usage(reply))
    yield b"data: [DONE]\n\n"


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def _anthropic_block(index: int, start: dict[str, Any], deltas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [{"type": "content_block_start", "index": index, "content_block": start}]
    events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [*events, {"type": "content_block_stop", "index": index}]


def _anthropic_story(body: dict[str, Any], reply: Reply) -> list[dict[str, Any]]:
    """A text block word by word, then a block for each tool call whose arguments come in halves."""
    usage = {"input_tokens": reply.tokens_in, "output_tokens": 1}
    message = {"id": "m1", "type": "message", "role": "assistant", "model": body["model"], "content": []}
    message |= {"stop_reason": None, "stop_sequence": None} | ({} if reply.without_usage else {"usage": usage})
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}, {"type": "ping"}]
    blocks = 0
    if reply.text is not None:
        words = [{"type": "text_delta", "text": word} for word in reply.text.split(" ")]
        events += _anthropic_block(0, {"type": "text", "text": ""}, words)
        blocks = 1
    for number, (name, arguments) in enumerate(reply.tool_calls):
        start = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {}}
        said = json.dumps(arguments)
        halves = [said[: len(said) // 2], said[len(said) // 2 :]]
        deltas = [{"type": "input_json_delta", "partial_json": half} for half in halves]
        events += _anthropic_block(blocks + number, start, deltas)
    stop = {"stop_reason": reply.finish or ("tool_use" if reply.tool_calls else "end_turn"), "stop_sequence": None}
    counted = {"output_tokens": reply.tokens_out} | ({} if reply.without_usage else {"input_tokens": reply.tokens_in})
    ended = {"type": "message_delta", "delta": stop, "usage": counted | reply.usage_more}
    return [*events, ended, {"type": "message_stop"}]


async def _anthropic_events(body: dict[str, Any], reply: Reply) -> AsyncGenerator[bytes]:
    for number, event in enumerate(_anthropic_story(body, reply)):
        if reply.break_after is not None and number >= reply.break_after:
            return
        if reply.error_after is not None and number >= reply.error_after:
            error = {"type": "overloaded_error", "message": "Overloaded"}
            yield b"event: error\n" + _event({"type": "error", "error": error})
            return
        if reply.hang_after is not None and number >= reply.hang_after:
            await asyncio.sleep(60)
        await asyncio.sleep(reply.seconds_between)
        yield b"event: " + event["type"].encode() + b"\n" + _event(event)
