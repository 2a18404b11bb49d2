"""Work for a caller who may go away before its end: then it is given up, for nobody hears what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import anyio
from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


async def while_heard(request: Request, work: Awaitable[T]) -> T:
    """What comes of the work. Cancels it and raises `ClientDisconnect` when the caller is gone. The body must have been read."""
    with anyio.CancelScope() as scope:
        listening = asyncio.ensure_future(_listen(request, scope))
        try:
            return await work
        finally:
            listening.cancel()
    raise ClientDisconnect


async def _listen(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
