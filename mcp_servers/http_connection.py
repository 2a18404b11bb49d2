"""One HTTP/1.1 connection, from the side that asks: a request goes out, and its answer comes in, head first. One request at a time.

The parser is llhttp, strict. A server that speaks when it was not asked, or goes on after its answer's end, is not asked again.
"""

from __future__ import annotations

import asyncio
from typing import cast

import httptools
from starlette.datastructures import Headers

#: The longest head of an answer, with whatever informational answers come before it.
MOST_HEAD_BYTES = 64_000
#: What is read ahead of whoever takes it; then the server has to wait.
READ_AHEAD_BYTES = 256_000


class ConnectionBroken(Exception):
    """It ended in the middle, or what came is no HTTP; the text is safe to show (no secret, no body)."""


class HttpConnection(asyncio.Protocol):
    """Made by the event loop's `create_connection`. Used by one task at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._fault: str | None = None
        self._paused = False
        self._begin()

    def _begin(self) -> None:
        self.status, self.headers = 0, Headers()
        #: The head has come; the whole answer has; and the server may be asked again on this connection.
        self._headed = self._ended = self._stays_open = False
        self._lines: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._head_bytes = self._waiting_bytes = 0

    @property
    def reusable(self) -> bool:
        """Whether the last answer was read to its end, and another request may follow."""
        return self._ended and self._stays_open and self._fault is None and not self._body

    async def ask(self, request: bytes) -> None:
        """Sends a whole request; `status` and `headers` are the answer's once this returns. Raises `ConnectionBroken`."""
        self._begin()
        self._parser = httptools.HttpResponseParser(self)
        if self._fault is None and self._transport is not None:
            self._transport.write(request)
        while not self._headed:
            await self._something()

    async def next(self) -> bytes:
        """What has come of the body, as soon as something has; empty at its end. Raises `ConnectionBroken`."""
        while not self._body:
            if self._ended:
                return b""
            await self._something()
        found = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body, self._waiting_bytes = [], 0
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return found

    def close(self) -> None:
        """At once: what was not sent is not sent any more."""
        self._break("it was closed")

    async def _something(self) -> None:
        """Waits until there is news. Raises `ConnectionBroken`."""
        if self._fault is not None:
            raise ConnectionBroken(self._fault)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _break(self, fault: str) -> None:
        self._fault = self._fault or fault
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    # ------------------------------------------------------------------ called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._parser is None or self._ended:
            self._break("it spoke without being asked")
            return
        if not self._headed:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break("what it answered is no HTTP")
        if not self._headed and self._head_bytes > MOST_HEAD_BYTES:
            self._break(f"its answer begins with more than the {MOST_HEAD_BYTES} bytes of headers allowed")

    def connection_lost(self, exc: Exception | None) -> None:
        # Without a length, the end of the connection is the end of the answer.
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        if self._headed and exc is None and self._fault is None and not framed:
            self._ended = True
        self._break("it broke off")

    # ------------------------------------------------------------------ called by the parser

    def on_message_begin(self) -> None:
        if self._ended:
            raise ValueError("it goes on after its answer's end")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self.headers, self._headed = Headers(raw=self._lines), True
            self._wake()
        # What may follow are the real answer's headers, or trailers, which say nothing to us.
        self._lines = []

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._waiting_bytes += len(body)
        if self._waiting_bytes > READ_AHEAD_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self._headed:
            assert self._parser is not None
            self._ended, self._stays_open = True, self._parser.should_keep_alive()
            self._wake()
