"""What stands before a team's routes: the token, and a limit on what is read."""

from __future__ import annotations

import hashlib
import hmac

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 256_000
OPEN_PATHS = frozenset({"/health", "/.well-known/agent-card.json"})


class Guard:
    """Before any route: no body above `MAX_BODY`, and nothing but health and card without the token."""

    def __init__(self, app: ASGIApp, token_sha256: str) -> None:
        self._app = app
        self._token_sha256 = token_sha256

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        request = Request(scope)
        if scope["path"] not in OPEN_PATHS and not self._knows(request.headers.get("authorization", "")):
            await JSONResponse({"detail": "show the token: Authorization: Bearer …"}, 401)(scope, receive, send)
            return
        body = await _bounded_body(receive, request.headers.get("content-length", ""))
        if body is None:
            refusal = JSONResponse({"detail": f"the body is larger than {MAX_BODY} bytes"}, 413)
            await refusal(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    def _knows(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        shown = hashlib.sha256(token.encode()).hexdigest()
        return hmac.compare_digest(shown, self._token_sha256) and scheme.lower() == "bearer"


async def _bounded_body(receive: Receive, announced: str) -> bytes | None:
    """The whole body, or None as soon as it is too large."""
    if announced.isdigit() and int(announced) > MAX_BODY:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, once, then whatever the connection says."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again
