"""JSON-RPC 2.0 as MCP and A2A use it over HTTP: one request a body, no batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from fastapi.responses import JSONResponse, Response
from pydantic_core import from_json, to_json

from mcp_servers.gateway.refusals import Refused

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
#: Ours: what the gateway refuses, by refusal code.
REFUSED: Mapping[str, int] = {
    "not_allowed": -32050,
    "over_budget": -32051,
    "price_unknown": -32052,
    "bad_request": INVALID_PARAMS,
    "not_found": INVALID_PARAMS,
    "upstream_failed": -32053,
    "timeout": -32054,
    "unauthenticated": -32055,
    "rate_limited": -32056,
    "overloaded": -32057,
}


@dataclass(frozen=True)
class Call:
    """A request, or a notification if it has no id."""

    id: str | int | None
    method: str
    params: dict[str, Any]
    notification: bool


class RpcError(Exception):
    """An error object to answer with."""

    def __init__(self, code: int, message: str, call_id: str | int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.call_id = code, message, call_id


class Written(RpcError):
    """A refusal of which a row tells already."""

    def __init__(self, error: RpcError) -> None:
        super().__init__(error.code, error.message, error.call_id)


def parse(body: bytes) -> Call:
    """The call in a body. Raises `RpcError`."""
    return call_of(decode(body))


def decode(body: bytes) -> dict[str, Any]:
    """The message in a body, whatever it is. Raises `RpcError`."""
    try:
        given = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RpcError(PARSE_ERROR, "The body is not JSON.") from error
    if isinstance(given, list):
        raise RpcError(INVALID_REQUEST, "Batches are not supported; send one request at a time.")
    if not isinstance(given, dict):
        raise RpcError(INVALID_REQUEST, "A JSON-RPC request is an object.")
    return cast("dict[str, Any]", given)


def call_of(message: dict[str, Any]) -> Call:
    """The message as a call. Raises `RpcError`."""
    call_id, method, params = message.get("id"), message.get("method"), message.get("params")
    if isinstance(call_id, bool) or not isinstance(call_id, str | int | None):
        raise RpcError(INVALID_REQUEST, "id must be a string or an integer.")
    if message.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "A JSON-RPC request has jsonrpc '2.0' and a method.", call_id)
    if not isinstance(params, dict | None):
        raise RpcError(INVALID_PARAMS, "params must be an object.", call_id)
    return Call(call_id, method, cast("dict[str, Any]", params or {}), "id" not in message)


def result(call: Call, value: object) -> JSONResponse:
    return JSONResponse({"jsonrpc": "2.0", "id": call.id, "result": value})


def raw_result(call: Call, value: bytes) -> Response:
    """A result that is JSON already: what was hashed is, byte for byte, what is sent."""
    body = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (to_json(call.id), value)
    return Response(body, media_type="application/json")


def error(call_id: str | int | None, code: int, message: str, status: int = 200, data: object = None) -> JSONResponse:
    body: dict[str, Any] = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return JSONResponse({"jsonrpc": "2.0", "id": call_id, "error": body}, status)


def refusal(call_id: str | int | None, refused: Refused, status: int = 200) -> JSONResponse:
    """A refusal as an answer."""
    return JSONResponse({"jsonrpc": "2.0", "id": call_id, "error": refusal_object(refused)}, status)


def refusal_object(refused: Refused) -> dict[str, Any]:
    """A refusal as an error object that carries when it may be tried again."""
    data = {"reason": refused.code, "opens_at": refused.opens_at.isoformat() if refused.opens_at else None}
    return {"code": REFUSED[refused.code], "message": refused.message, "data": data}


def unauthenticated(refused: Refused) -> JSONResponse:
    """Answered by HTTP itself, so that every client understands it."""
    return JSONResponse({"error": refused.message}, 401, {"WWW-Authenticate": 'Bearer realm="elf"'})
