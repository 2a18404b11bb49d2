"""Somebody of the company as a model at /v1, for people's own clients: who gets through, and who is refused."""

from __future__ import annotations

from typing import Any, cast

from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from mcp_servers.gateway import openai_wire as wire
from mcp_servers.gateway.chat import ChatRequest
from mcp_servers.gateway.reception import SAYS_PER_MINUTE, Reception
from mcp_servers.gateway.refusals import Refused

_WHERE = "/v1"


def is_for_colleague(reception: Reception, authorization: str | None, body: bytes) -> bool:
    """Whether the colleague is asked, or a client's token is shown, which asks for nobody else."""
    if not reception.concerns(authorization, body):
        return False
    return reception.is_client(authorization) or _model_in(body) == reception.colleague().name


async def answered_by_colleague(
    reception: Reception, authorization: str | None, body: bytes, request: Request
) -> Response:
    """Raises `Refused`; the refusal of whoever is known is written down. The body is read already."""
    speaker = await reception.speaker(authorization, _WHERE)
    await reception.admit(speaker, _WHERE, SAYS_PER_MINUTE)
    colleague = reception.colleague()
    try:
        wanted = _wanted(body, colleague.name)
    except Refused as refused:
        raise await reception.refuse(speaker, _WHERE, refused) from refused
    return await colleague.answer(reception, speaker, wanted, request)


def listed(reception: Reception) -> dict[str, Any]:
    """The colleague in the list of models."""
    return {"id": reception.colleague().name, "object": "model", "created": 0, "owned_by": "company"}


def _wanted(body: bytes, name: str) -> ChatRequest:
    wanted = wire.parsed(ChatRequest, body)
    if wanted.model != name:
        why = f"This token talks with '{name}' alone: ask for the model {name}."
        raise Refused("not_allowed", why, param="model")
    return wanted


def _model_in(body: bytes) -> object:
    """The model that a body names, whatever else is wrong with it."""
    try:
        given = from_json(body)
    except ValueError:
        return None
    return cast("dict[str, object]", given).get("model") if isinstance(given, dict) else None
