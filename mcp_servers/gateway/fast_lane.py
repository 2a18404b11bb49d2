"""The busiest paths, served before the app's own routing: finding a route there takes as long as the rest of a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

#: Answers every method of its path. Foresees its errors: nothing stands around it but the server.
Endpoint = Callable[[Request], Awaitable[Response]]


def headers_of(request: Request) -> Mapping[str, str]:
    """By name, in lower case; of a name that comes twice the first counts. Read once: `Request.headers` reads all at every question."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(request.scope["headers"])}


async def body_of(request: Request) -> bytes:
    """The whole body. Raises `ClientDisconnect`."""
    found: list[bytes] = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        found.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(found)


class FastLane:
    """Pure ASGI. A path is served here exactly as it is written, with or without a slash at its end; all else goes to the app."""

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, Endpoint]) -> None:
        self._app = app
        self._endpoints = dict(endpoints) | {f"{path}/": endpoint for path, endpoint in endpoints.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
