"""What is refused before anybody was asked, in the words of the protocol that is spoken at its path."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_core import to_json

from mcp_servers.gateway.jsonrpc import INVALID_REQUEST, REFUSED

JSON, TEXT = b"application/json", b"text/plain; charset=utf-8"
#: HTTP status -> OpenAI's type and code.
_OPENAI: Mapping[int, tuple[str, str]] = {
    403: ("permission_error", "not_allowed"),
    408: ("invalid_request_error", "request_timeout"),
    413: ("invalid_request_error", "request_too_large"),
    503: ("server_error", "overloaded"),
}
_RPC: Mapping[int, int] = {403: REFUSED["not_allowed"], 503: REFUSED["overloaded"]}


def body(path: str, status: int, reason: str) -> tuple[bytes, bytes]:
    """(content type, body)."""
    if path.startswith("/v1/"):
        kind, code = _OPENAI[status]
        return JSON, to_json({"error": {"message": reason, "type": kind, "code": code, "param": None}})
    if path in ("/mcp", "/a2a") or path.startswith(("/mcp/", "/a2a/")):
        error = {"code": _RPC.get(status, INVALID_REQUEST), "message": reason}
        return JSON, to_json({"jsonrpc": "2.0", "id": None, "error": error})
    return TEXT, reason.encode() + b"\n"
