"""OpenAI's shapes: requests, errors, completions, chunks, embeddings. Nothing here decides or waits."""

from __future__ import annotations

import base64
import struct
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from mcp_servers.gateway.chat import Answer
from mcp_servers.gateway.lexical import Embedded
from mcp_servers.gateway.prices import Tokens
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.run_loops import LoopStopped

Body = TypeVar("Body", bound=BaseModel)

#: HTTP status, OpenAI's error type and code. 402 rather than 429 for an empty budget: clients retry a 429 by themselves.
STATUS = {
    "unauthenticated": (401, "authentication_error", "invalid_api_key"),
    "not_allowed": (403, "permission_error", "not_allowed"),
    "over_budget": (402, "insufficient_quota", "insufficient_quota"),
    "rate_limited": (429, "rate_limit_error", "rate_limit_exceeded"),
    "overloaded": (503, "server_error", "overloaded"),
    "price_unknown": (403, "permission_error", "price_unknown"),
    "bad_request": (400, "invalid_request_error", None),
    "not_found": (404, "invalid_request_error", "model_not_found"),
    "upstream_failed": (502, "server_error", "provider_failed"),
    "timeout": (504, "server_error", "timeout"),
}


def parsed(kind: type[Body], body: bytes) -> Body:
    """What a request says. Raises `Refused` with the first thing that is wrong, and where."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        message = f"{where or 'The body'}: {fault['msg'].removeprefix('Value error, ')}"
        raise Refused("bad_request", message, param=where or None) from error


def error(refused: Refused) -> dict[str, Any]:
    _, kind, code = STATUS[refused.code]
    if isinstance(refused, LoopStopped):
        code = "loop_stopped"
    opens = refused.opens_at.isoformat() if refused.opens_at else None
    return {"message": refused.message, "type": kind, "code": code, "param": refused.param, "opens_at": opens}


def completion(base: dict[str, Any], answer: Answer) -> bytes:
    choice = {"index": 0, "message": answer.message, "finish_reason": answer.finish_reason, "logprobs": None}
    return to_json(base | {"object": "chat.completion", "choices": [choice], "usage": usage(answer.tokens)})


def choice(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}


def usage(tokens: Tokens | None) -> dict[str, Any] | None:
    if tokens is None:
        return None
    total = tokens.input + tokens.output
    cached = {"cached_tokens": tokens.cache_read}
    counts = {"prompt_tokens": tokens.input, "completion_tokens": tokens.output, "total_tokens": total}
    return counts | {"prompt_tokens_details": cached}


def event(payload: dict[str, Any]) -> bytes:
    return b"data: " + to_json(payload) + b"\n\n"


def embeddings(model: str, found: Embedded, *, as_base64: bool) -> bytes:
    """The vectors as numbers, or as base64 of little-endian 32-bit floats, which OpenAI's own client asks for."""
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if as_base64 else vector}
        for index, vector in enumerate(found.vectors)
    ]
    given = found.tokens.input if found.tokens else 0
    counts = {"prompt_tokens": given, "total_tokens": given}
    return to_json({"object": "list", "data": data, "model": model, "usage": counts})


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
