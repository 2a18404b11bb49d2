"""OpenAI's wire: POST /v1/chat/completions, GET /v1/models. Errors in OpenAI's shape.

Two headers say what a call is for: `X-Elf-Purpose` (a slug such as `member-work`) and `X-Elf-Run` (the task or correlation id).
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import anyio
from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from mcp_servers.gateway.chat import Answer, ChatRequest, Piece, ProviderFailed
from mcp_servers.gateway.door import Door, Meter, ModelAsk, sha256
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.models import Models
from mcp_servers.gateway.prices import Link, Tokens
from mcp_servers.gateway.refusals import Refused, retry_after

_PURPOSE = re.compile(r"[a-z][a-z0-9-]{0,39}")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,119}")

#: HTTP status, OpenAI's error type and code. 402 rather than 429 for an empty budget: clients retry a 429 by themselves.
_STATUS = {
    "unauthenticated": (401, "authentication_error", "invalid_api_key"),
    "not_allowed": (403, "permission_error", "not_allowed"),
    "over_budget": (402, "insufficient_quota", "insufficient_quota"),
    "price_unknown": (403, "permission_error", "price_unknown"),
    "bad_request": (400, "invalid_request_error", None),
    "not_found": (404, "invalid_request_error", "model_not_found"),
    "upstream_failed": (502, "server_error", "provider_failed"),
    "timeout": (504, "server_error", "timeout"),
}


@dataclass(frozen=True)
class Chat:
    """A chat request that may be made: who asks, what, of which model."""

    caller: Caller
    request: ChatRequest
    link: Link
    ask: ModelAsk


def openai_router(door: Door, models: Models) -> APIRouter:
    """The routes under /v1."""
    router = APIRouter()

    @router.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        return await _answered(door, lambda: _chat(door, models, request))

    @router.get("/v1/models")
    async def list_models(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        return await _answered(door, lambda: _list(door, models, request))

    return router


async def _answered(door: Door, make: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await make()
    except Refused as refused:
        status, _, _ = _STATUS[refused.code]
        # OpenAI's own clients obey this header: what is refused here is not asked again.
        headers = {"x-should-retry": "false"}
        if (seconds := retry_after(refused, door.clock())) is not None:
            headers["retry-after"] = str(seconds)
        return JSONResponse({"error": _error(refused)}, status, headers)


async def _list(door: Door, models: Models, request: Request) -> Response:
    caller = await door.identify(request.headers.get("authorization"))
    # In a worker thread: what a deployed spec says may come from the database.
    usable = await to_thread.run_sync(_usable, door, models, caller)
    data = [{"id": name, "object": "model", "created": 0, "owned_by": models.resolve(name).provider} for name in usable]
    return JSONResponse({"object": "list", "data": data})


def _usable(door: Door, models: Models, caller: Caller) -> list[str]:
    names = sorted(door.grants.models(caller)) if caller.kind == "member" else models.names()
    return [name for name in names if models.usable(name, door.prices)]


async def _chat(door: Door, models: Models, request: Request) -> Response:
    caller = await door.identify(request.headers.get("authorization"))
    chat = _parsed(models, caller, await request.body(), request)
    answer_id, created = f"chatcmpl-{door.new_id()}", int(door.clock().timestamp())
    base = {"id": answer_id, "created": created, "model": chat.link.name}
    headers = {"x-elf-model": chat.link.name}
    if not chat.request.stream:
        answer = await _whole(door, models, chat)
        return JSONResponse(_completion(base, answer), headers=headers)
    pieces = _pieces(door, models, chat)
    # The first piece is awaited here: what fails before it is an ordinary error answer, not a broken stream.
    first = await anext(pieces)
    return _EventStream(_events(base, chat.request, first, pieces), pieces, headers)


def _parsed(models: Models, caller: Caller, body: bytes, request: Request) -> Chat:
    try:
        wanted = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        message = f"{where or 'The body'}: {fault['msg'].removeprefix('Value error, ')}"
        raise Refused("bad_request", message, param=where or None) from error
    purpose = _header(request, "x-elf-purpose", _PURPOSE, "unspecified")
    run = _header(request, "x-elf-run", _RUN, "none")
    link = models.resolve(wanted.model)
    ask = ModelAsk(
        asked=wanted.model,
        link=link,
        purpose=purpose,
        run=run,
        tokens_in=wanted.most_tokens_in(len(body)),
        tokens_out=wanted.most_tokens_out,
        timeout=timedelta(seconds=models.settings.timeout_seconds),
        request_sha256=sha256(body),
    )
    return Chat(caller, wanted, link, ask)


def _header(request: Request, name: str, pattern: re.Pattern[str], default: str) -> str:
    value = request.headers.get(name)
    if value is None:
        return default
    if not pattern.fullmatch(value):
        raise Refused("bad_request", f"The header {name} must match {pattern.pattern}.", param=name)
    return value


async def _whole(door: Door, models: Models, chat: Chat) -> Answer:
    async with door.model_call(chat.caller, chat.ask) as meter:
        with _failures(meter):
            with anyio.fail_after(models.settings.timeout_seconds):
                answer = await models.provider(chat.link).answer(chat.request, chat.ask.purpose)
        meter.used(answer.tokens, sha256(json.dumps(answer.message, sort_keys=True).encode()))
        return answer


async def _pieces(door: Door, models: Models, chat: Chat) -> AsyncGenerator[Piece]:
    """The stream, metered. Raises `Refused`, also in the middle."""
    text, tokens = "", None
    async with door.model_call(chat.caller, chat.ask) as meter:
        stream = models.provider(chat.link).stream(chat.request, chat.ask.purpose)
        ends = anyio.current_time() + models.settings.timeout_seconds
        while True:
            with _failures(meter):
                piece = await _next(stream, ends)
            if piece is None:
                break
            tokens = piece.tokens or tokens
            text += json.dumps(piece.delta, sort_keys=True)
            yield piece
        meter.used(tokens, sha256(text.encode()))


async def _next(stream: AsyncIterator[Piece], ends: float) -> Piece | None:
    with anyio.fail_after(max(0.0, ends - anyio.current_time())):
        return await anext(stream, None)


@contextmanager
def _failures(meter: Meter) -> Generator[None]:
    """Turns a provider's failure into a refusal, and tells the meter what it cost."""
    try:
        yield
    except ProviderFailed as error:
        meter.failed(error.kind, free=error.free)
        raise Refused("timeout" if error.kind == "timeout" else "upstream_failed", error.message) from error
    except TimeoutError as error:
        meter.failed("timeout", free=False)
        raise Refused("timeout", "The model did not answer in time; ask again later, or for less.") from error


async def _events(
    base: dict[str, Any], request: ChatRequest, first: Piece, rest: AsyncIterator[Piece]
) -> AsyncGenerator[bytes]:
    """Server-sent events. A stream that fails in the middle ends with an error event and without `[DONE]`."""
    head = base | {"object": "chat.completion.chunk"}
    usage = request.stream_options is not None and request.stream_options.include_usage
    tokens: Tokens | None = None
    yield _event(head | {"choices": [_choice({"role": "assistant", "content": ""}, None)]})
    try:
        piece: Piece | None = first
        while piece is not None:
            tokens = piece.tokens or tokens
            if piece.delta or piece.finish_reason:
                yield _event(head | {"choices": [_choice(piece.delta, piece.finish_reason)]})
            piece = await anext(rest, None)
    except Refused as refused:
        yield _event({"error": _error(refused)})
        return
    if usage:
        yield _event(head | {"choices": [], "usage": _usage(tokens)})
    yield b"data: [DONE]\n\n"


class _EventStream(StreamingResponse):
    """Closes the pieces when the client is gone, so that the call is settled at once."""

    def __init__(self, events: AsyncGenerator[bytes], pieces: AsyncGenerator[Piece], headers: dict[str, str]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=headers | {"cache-control": "no-cache"})
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._pieces.aclose()


def _completion(base: dict[str, Any], answer: Answer) -> dict[str, Any]:
    choice = {"index": 0, "message": answer.message, "finish_reason": answer.finish_reason, "logprobs": None}
    return base | {"object": "chat.completion", "choices": [choice], "usage": _usage(answer.tokens)}


def _choice(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}


def _usage(tokens: Tokens | None) -> dict[str, Any] | None:
    if tokens is None:
        return None
    total = tokens.input + tokens.output
    cached = {"cached_tokens": tokens.cache_read}
    counts = {"prompt_tokens": tokens.input, "completion_tokens": tokens.output, "total_tokens": total}
    return counts | {"prompt_tokens_details": cached}


def _error(refused: Refused) -> dict[str, Any]:
    _, kind, code = _STATUS[refused.code]
    opens = refused.opens_at.isoformat() if refused.opens_at else None
    return {"message": refused.message, "type": kind, "code": code, "param": refused.param, "opens_at": opens}


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"
