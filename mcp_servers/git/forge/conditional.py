"""Conditional requests: every answer to a GET has an `ETag`, and whoever shows it again is told 304, without the body."""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Conditional:
    """ASGI middleware for answers that fit in memory, as all of the REST API's do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        shown = {tag.strip() for tag in Headers(scope=scope).get("if-none-match", "").split(",")}
        start: list[Message] = []
        body = bytearray()

        async def whole(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.append(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                await _finish(start[0], bytes(body), shown, send)

        await self._app(scope, receive, whole)


async def _finish(start: Message, body: bytes, shown: set[str], send: Send) -> None:
    headers = MutableHeaders(scope=start)
    if start["status"] == 200:
        link = headers.get("link", "")
        tag = f'W/"{hashlib.sha256(link.encode() + body).hexdigest()}"'
        headers["ETag"] = tag
        headers["Vary"] = "Accept, Authorization"
        if shown & {tag, tag.removeprefix("W/"), "*"}:
            del headers["content-length"], headers["content-type"]
            start["status"], body = 304, b""
    await send(start)
    await send({"type": "http.response.body", "body": body})
