"""OpenAI's wire: POST /v1/chat/completions, POST /v1/embeddings, GET /v1/models (and one by its name). Errors in OpenAI's shape.

Two headers say what a call is for: `X-Elf-Purpose` (a slug such as `member-work`) and `X-Elf-Run` (the task or correlation id).
`X-Elf-Wait` says for how many seconds it may wait for its turn where it would else be refused for load or an open circuit.
The answer's `x-elf-model` says which model answered, `x-elf-chain` what became of each link that was tried.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mcp_servers.gateway import openai_wire as wire
from mcp_servers.gateway.call_headers import RUN, WAIT
from mcp_servers.gateway.chat import ChatRequest, Piece
from mcp_servers.gateway.colleague_api import answered_by_colleague, is_for_colleague, listed
from mcp_servers.gateway.door import Door, sha256
from mcp_servers.gateway.embeddings import EmbeddingRequest
from mcp_servers.gateway.event_response import EventResponse
from mcp_servers.gateway.fast_lane import Endpoint, body_of, headers_of
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.models import Models, Plan
from mcp_servers.gateway.prices import Link, Tokens
from mcp_servers.gateway.reception import LOOKS_PER_MINUTE, Reception
from mcp_servers.gateway.refusals import Refused, retry_after
from mcp_servers.gateway.till import ChainRefused, ModelAsk
from policies.models import ModelsLaw

_PURPOSE = re.compile(r"[a-z][a-z0-9-]{0,39}")
_JSON = "application/json"

log = logging.getLogger(__name__)


def chat_endpoint(door: Door, models: Models, reception: Reception | None = None) -> Endpoint:
    """What /v1/chat/completions answers: a model, or at the reception somebody of the company."""

    async def chat_completions(request: Request) -> Response:
        if request.method != "POST":
            return Response(status_code=405, headers={"Allow": "POST"})
        return await _answered(door, lambda: _asked(door, models, reception, request))

    return chat_completions


def openai_router(door: Door, models: Models, reception: Reception | None = None) -> APIRouter:
    """The other routes under /v1."""
    router = APIRouter()

    async def embeddings(request: Request) -> Response:
        return await _answered(door, lambda: _embed(door, models, request))

    async def list_models(request: Request) -> Response:
        return await _answered(door, lambda: _list(door, models, reception, request))

    async def one_model(request: Request) -> Response:
        return await _answered(door, lambda: _one(door, models, reception, request))

    # Plain routes: what they read is checked here, and nothing else is worth its time on every call.
    router.add_route("/v1/embeddings", embeddings, methods=["POST"])
    router.add_route("/v1/models", list_models, methods=["GET"])
    router.add_route("/v1/models/{name:path}", one_model, methods=["GET"])
    return router


async def _answered(door: Door, make: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await make()
    except Refused as refused:
        status, _, _ = wire.STATUS[refused.code]
        # OpenAI's own clients obey this header: what is refused here is not asked again, but for what was not even begun.
        headers = {"x-should-retry": "true" if refused.code == "overloaded" else "false"}
        door.till.observer.refused("model", refused.code)
        if (seconds := retry_after(refused, door.clock())) is not None:
            headers["retry-after"] = str(seconds)
        if isinstance(refused, ChainRefused):
            headers["x-elf-chain"] = refused.trail
        return JSONResponse({"error": wire.error(refused)}, status, headers)
    except Exception:
        # Ours to mend, not the client's to try again: its retries would be a second layer over the chain's.
        log.exception("a model call ended in an error that nobody foresaw")
        fault = {"message": "The gateway failed; its log says why.", "type": "server_error", "code": "gateway_failed"}
        return JSONResponse({"error": fault}, 500, {"x-should-retry": "false"})


async def _list(door: Door, models: Models, reception: Reception | None, request: Request) -> Response:
    authorization = request.headers.get("authorization")
    if reception is not None and reception.is_client(authorization):
        await reception.admit(await reception.speaker(authorization, "/v1"), "/v1/models", LOOKS_PER_MINUTE)
        return JSONResponse({"object": "list", "data": [listed(reception)]})
    caller = await door.identify(authorization)
    # In a worker thread: what a deployed spec says may come from the database.
    usable = await to_thread.run_sync(_usable, door, models, caller)
    data = [_shown(name, models.resolve(name)) for name in usable]
    if reception is not None and caller.kind == "person":
        data.append(listed(reception))
    return JSONResponse({"object": "list", "data": data})


async def _one(door: Door, models: Models, reception: Reception | None, request: Request) -> Response:
    """The model, or why this caller cannot use it."""
    authorization, name = request.headers.get("authorization"), str(request.path_params["name"])
    if reception is not None and name == reception.colleague().name:
        await reception.admit(await reception.speaker(authorization, "/v1"), "/v1/models", LOOKS_PER_MINUTE)
        return JSONResponse(listed(reception))
    caller = await door.identify(authorization)

    def checked() -> Link:
        door.grants.check_model(caller, name)
        return models.check(name, door.prices)

    return JSONResponse(_shown(name, await to_thread.run_sync(checked)))


def _shown(name: str, link: Link) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": link.provider}


def _usable(door: Door, models: Models, caller: Caller) -> list[str]:
    names = sorted(door.grants.models(caller)) if caller.kind == "member" else models.names()
    return [name for name in names if models.usable(name, door.prices)]


async def _asked(door: Door, models: Models, reception: Reception | None, request: Request) -> Response:
    headers, body = headers_of(request), await body_of(request)
    authorization = headers.get("authorization")
    if reception is not None and is_for_colleague(reception, authorization, body):
        return await answered_by_colleague(reception, authorization, body, request)
    return await _chat(door, models, headers, body, request)


async def _chat(door: Door, models: Models, headers: Mapping[str, str], body: bytes, request: Request) -> Response:

    def prepare(caller: Caller) -> tuple[ModelAsk, ChatRequest]:
        wanted = wire.parsed(ChatRequest, body)
        purpose, law = _header(headers, "x-elf-purpose", _PURPOSE, "unspecified"), models.law()
        plan = models.plan(wanted.model, caller.team, caller.member, purpose, law)
        bounds = (wanted.most_tokens_in(len(body)), wanted.most_tokens_out)
        return _ask(models, headers, plan, law, purpose, bounds, sha256(body)), wanted

    crossing, wanted = await door.begin_model_call(headers.get("authorization"), prepare, request.is_disconnected)
    purpose = crossing.ask.purpose
    base = {"id": f"chatcmpl-{door.new_id()}", "created": int(door.clock().timestamp())}
    if not wanted.stream:
        answer = await crossing.whole(
            lambda link: models.provider(link).answer(wanted, purpose),
            lambda answer: (answer.tokens, sha256(json.dumps(answer.message, sort_keys=True).encode())),
        )
        link = crossing.tried.link.name
        return Response(wire.completion(base | {"model": link}, answer), 200, _said(link, crossing.tried.trail), _JSON)
    pieces = crossing.pieces(lambda link: models.provider(link).stream(wanted, purpose))
    # The first piece is awaited here: what fails before it moves on, or is an ordinary error answer, not a broken stream.
    first = await anext(pieces, None)
    link = crossing.tried.link.name
    events = _events(base | {"model": link}, wanted, first, pieces)
    said = _said(link, crossing.tried.trail) | {"cache-control": "no-cache"}
    # Once the client is gone the pieces are closed, and so the call is settled at once.
    return EventResponse(events, said, pieces.aclose)


async def _embed(door: Door, models: Models, request: Request) -> Response:
    headers, body = headers_of(request), await body_of(request)

    def prepare(caller: Caller) -> tuple[ModelAsk, EmbeddingRequest]:
        del caller
        wanted = wire.parsed(EmbeddingRequest, body)
        # One model and no other: vectors of two models cannot be compared.
        plan = Plan(wanted.model, None, (models.embedding(wanted.model),), {})
        purpose, bounds = (
            _header(headers, "x-elf-purpose", _PURPOSE, "embedding"),
            (wanted.most_tokens_in(len(body)), 0),
        )
        return _ask(models, headers, plan, models.law(), purpose, bounds, sha256(body)), wanted

    crossing, wanted = await door.begin_model_call(headers.get("authorization"), prepare, request.is_disconnected)
    found = await crossing.whole(
        lambda link: models.embedder(link).embed(wanted.texts, wanted.dimensions),
        lambda found: (found.tokens, sha256(repr(found.vectors).encode())),
    )
    link = crossing.tried.link.name
    answer = wire.embeddings(link, found, as_base64=wanted.encoding_format == "base64")
    return Response(answer, 200, _said(link, crossing.tried.trail), _JSON)


def _ask(
    models: Models,
    headers: Mapping[str, str],
    plan: Plan,
    law: ModelsLaw,
    purpose: str,
    bounds: tuple[int, int],
    request_sha256: str,
) -> ModelAsk:
    return ModelAsk(
        asked=plan.asked,
        plan=plan,
        law=law,
        purpose=purpose,
        run=_header(headers, "x-elf-run", RUN, "none"),
        tokens_in=bounds[0],
        tokens_out=bounds[1],
        deadline=timedelta(seconds=min(law.deadline_seconds, models.settings.timeout_seconds)),
        request_sha256=request_sha256,
        may_wait=_may_wait(headers, law, purpose),
    )


def _may_wait(headers: Mapping[str, str], law: ModelsLaw, purpose: str) -> timedelta:
    """What the call says, within the law; else what the law says for calls of its purpose."""
    if "x-elf-wait" in headers:
        return timedelta(seconds=min(int(_header(headers, "x-elf-wait", WAIT, "0")), law.queue.seconds))
    return timedelta(seconds=law.queue.seconds if purpose in law.queue.purposes else 0)


def _header(headers: Mapping[str, str], name: str, pattern: re.Pattern[str], default: str) -> str:
    value = headers.get(name)
    if value is None:
        return default
    if not pattern.fullmatch(value):
        raise Refused("bad_request", f"The header {name} must match {pattern.pattern}.", param=name)
    return value


def _said(link: str, trail: str) -> dict[str, str]:
    return {"x-elf-model": link, "x-elf-chain": trail}


async def _events(
    base: dict[str, Any], request: ChatRequest, first: Piece | None, rest: AsyncIterator[Piece]
) -> AsyncGenerator[bytes]:
    """Server-sent events. A stream that fails in the middle ends with an error event and without `[DONE]`."""
    head = base | {"object": "chat.completion.chunk"}
    usage = request.stream_options is not None and request.stream_options.include_usage
    tokens: Tokens | None = None
    yield wire.event(head | {"choices": [wire.choice({"role": "assistant", "content": ""}, None)]})
    try:
        piece = first
        while piece is not None:
            tokens = piece.tokens or tokens
            if piece.delta or piece.finish_reason:
                yield wire.event(head | {"choices": [wire.choice(piece.delta, piece.finish_reason)]})
            piece = await anext(rest, None)
    except Refused as refused:
        yield wire.event({"error": wire.error(refused)})
        return
    if usage:
        yield wire.event(head | {"choices": [], "usage": wire.usage(tokens)})
    yield b"data: [DONE]\n\n"
