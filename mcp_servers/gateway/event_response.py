"""A stream of server-sent events as an answer, closed however it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

import anyio
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class EventResponse(StreamingResponse):
    """`closing` is awaited once: when all was heard, when the listener is gone, and also when it goes before the first event."""

    def __init__(
        self, events: AsyncGenerator[bytes], headers: Mapping[str, str], closing: Callable[[], Awaitable[object]]
    ) -> None:
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._closing()
