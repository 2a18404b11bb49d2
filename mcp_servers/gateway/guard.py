"""Keeps other sites and oversized bodies out, before anything else of the app runs.

A browser on this machine can be made to send requests here by any page it shows. They carry that page's `Origin`, or reach us by a
foreign name (`Host`), or try to make us believe in one (`X-Forwarded-Host`, `Forwarded`). All are refused, for every method,
with a body or without, and for WebSockets. The work is linear in the size of the headers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_servers.gateway import refusal_bodies
from mcp_servers.gateway.body_room import BodyRoom

DEFAULT_BODY_BYTES = 2_000_000
#: What models are asked may hold images. From `DEFAULT_BODY_BYTES` on such a body needs room, and must come within `BODY_S`.
MODELS, MODEL_BODY_BYTES, BODY_S = "/v1/", 25_000_000, 60.0
FULL = "Too many large bodies are on their way; send it again in a few seconds."
LATE = f"The body took longer than {BODY_S:g} seconds; send it faster, or send less."
#: What is still read, and forgotten, of a refused request: a connection closed on unread bytes is reset before the answer is seen.
DRAINED_BYTES = 20_000_000
DRAINED_S = 2.0

#: Headers by which a proxy names the host that the browser asked for.
_HOST_CLAIMS = (b"x-forwarded-host", b"x-original-host", b"x-host", b"x-forwarded-server", b"x-http-host-override")


class Guard:
    """Pure ASGI middleware for the whole app.

    `hosts` are the allowed `Host` values, with port where it is not the scheme's own (`127.0.0.1:7070`). `body_bytes` gives other
    body limits by path prefix, such as Git pushes; the longest matching prefix counts. `refused` is told the reason of each refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Iterable[str],
        body_bytes: Mapping[str, int] | None = None,
        schemes: Iterable[str] = ("http", "https"),
        refused: Callable[[str], Awaitable[None]] | None = None,
        room: BodyRoom | None = None,
    ) -> None:
        self._app = app
        self._room = room or BodyRoom()
        self._hosts = frozenset(host.lower().encode() for host in hosts)
        self._origins = frozenset(scheme.encode() + b"://" + host for scheme in schemes for host in self._hosts)
        self._refused = refused
        limits = {MODELS: MODEL_BODY_BYTES, **(body_bytes or {})}
        self._limits = sorted(limits.items(), key=lambda item: -len(item[0]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if reason := self._foreign(headers):
            await self._refuse(scope, receive, send, 403, reason)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._limited(scope, receive, send, headers)

    def _foreign(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        """Why the request is not ours, or None."""
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0].strip().lower() not in self._hosts:
            return "This address is not served under that Host name; use the address that './elf up' printed."
        for name, value in headers:
            if name == b"origin" and value.strip().lower() not in self._origins:
                return "Requests from other sites (Origin) are refused."
            if name in _HOST_CLAIMS and not self._ours(value.split(b",")):
                return f"The header {name.decode()} names another host; no proxy may stand before this address."
            if name == b"forwarded" and not self._ours(_forwarded_hosts(value)):
                return "The header forwarded names another host; no proxy may stand before this address."
        return None

    def _ours(self, hosts: Iterable[bytes]) -> bool:
        return all(host.strip().strip(b'"').lower() in self._hosts for host in hosts)

    async def _limited(self, scope: Scope, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        limit = self._limit_for(scope["path"])
        reason = f"The body is larger than {limit} bytes; send less, or in parts."
        declared = [value for name, value in headers if name == b"content-length"]
        if any(not value.isdigit() or len(value) > 18 or int(value) > limit for value in declared):
            await self._refuse(scope, receive, send, 413, reason)
            return
        room = self._room if scope["path"].startswith(MODELS) else None
        counter = _Counter(receive, send, limit, max(map(int, declared), default=None), room)
        try:
            await self._app(scope, counter.receive, counter.send)
        except ClientDisconnect:
            # The client is gone, and hears no answer; or the body is one that is not read on.
            if counter.refusal is not None and counter.started:
                raise
        finally:
            counter.close()
        if counter.refusal is not None and not counter.started:
            status, said = counter.refusal
            await self._refuse(scope, receive, send, status, said or reason, more=counter.more)

    async def _refuse(
        self, scope: Scope, receive: Receive, send: Send, status: int, reason: str, *, more: bool = True
    ) -> None:
        if self._refused is not None:
            await self._refused(reason)
        await _refuse(scope, receive, send, status, reason, more=more)

    def _limit_for(self, path: str) -> int:
        return next((limit for prefix, limit in self._limits if path.startswith(prefix)), DEFAULT_BODY_BYTES)


class _NotReadOn(ClientDisconnect):
    """More body came than is allowed, or too slowly, or there is no room for it. To the app it is a client that is gone."""


class _Counter:
    """Counts the body as the app reads it. Once it is refused the app's own answer, whatever it is, does not go out.

    `declared`: how long it says it is; None: it does not say. `room`: where it needs some, if it is large.
    """

    def __init__(self, receive: Receive, send: Send, limit: int, declared: int | None, room: BodyRoom | None) -> None:
        #: The status and the reason; an empty one for the size.
        self.refusal: tuple[int, str] | None = None
        self.started = False
        self.more = True
        self._receive = receive
        self._send = send
        self._limit = self._left = limit
        self._declared, self._room = declared, room
        self._taken, self._until = 0, 0.0

    async def receive(self) -> Message:
        large = self._declared or self._limit - self._left
        if self._room is not None and self.more and not self._taken and large > DEFAULT_BODY_BYTES:
            await self._enter(self._room)
        message = await (self._in_time() if self._taken and self.more else self._receive())
        self.more = message.get("more_body", False)
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self._refuse(413, "")
        return message

    async def _enter(self, room: BodyRoom) -> None:
        size = self._declared or self._limit
        if not await room.enter(size):
            self._refuse(503, FULL)
        self._taken, self._until = size, asyncio.get_running_loop().time() + BODY_S

    async def _in_time(self) -> Message:
        try:
            async with asyncio.timeout_at(self._until):
                return await self._receive()
        except TimeoutError:
            self._refuse(408, LATE)

    def _refuse(self, status: int, reason: str) -> NoReturn:
        self.refusal = status, reason
        raise _NotReadOn

    def close(self) -> None:
        """Gives back the room."""
        if self._taken and self._room is not None:
            self._room.leave(self._taken)

    async def send(self, message: Message) -> None:
        if self.refusal is not None and not self.started:
            return
        self.started = True
        await self._send(message)


def _forwarded_hosts(value: bytes) -> list[bytes]:
    """Every `host=` of a Forwarded header."""
    pairs = (pair.partition(b"=") for element in value.split(b",") for pair in element.split(b";"))
    return [host for name, _, host in pairs if name.strip().lower() == b"host"]


async def _drain(receive: Receive) -> None:
    """Reads what the client still sends, within bounds, and keeps nothing of it."""
    left = DRAINED_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAINED_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, reason: str, *, more: bool = True) -> None:
    """One sentence, whatever the protocol. A WebSocket is refused before it is accepted. `more`: the body is not at its end."""
    prefix = ""
    if scope["type"] == "http" and more:
        await _drain(receive)
    if scope["type"] == "websocket":
        await receive()
        extensions: Mapping[str, Any] = scope.get("extensions") or {}
        if "websocket.http.response" not in extensions:
            await send({"type": "websocket.close", "code": 1008, "reason": reason[:120]})
            return
        prefix = "websocket."
    kind, body = refusal_bodies.body(scope["path"], status, reason)
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if scope["path"].startswith(MODELS):
        # OpenAI's own clients obey this: only what was not even begun is worth another try.
        headers.append((b"x-should-retry", b"true" if status == 503 else b"false"))
    if status == 503:
        headers.append((b"retry-after", b"5"))
    await send({"type": f"{prefix}http.response.start", "status": status, "headers": headers})
    await send({"type": f"{prefix}http.response.body", "body": body})
