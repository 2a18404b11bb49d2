"""The busiest paths, served before the app's own routing: finding a route there takes as long as the rest of a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

#: Answers every method of its path. Foresees its errors: nothing stands around it but the server.
Endpoint = Callable[[Request], Awaitable[Response]]


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
