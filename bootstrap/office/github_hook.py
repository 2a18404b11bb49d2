"""Where GitHub's webhooks come in: signed or refused, and then no more than a nudge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from mcp_servers.git.github_webhook import TooLarge, body_of, is_signed

BETWEEN_S = 1.0


class Waker:
    """Lets a loop sleep until its time has come or somebody wakes it. For one event loop; `wake` may come from any thread."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._event.set)

    async def sleep(self, seconds: float) -> bool:
        """True if it was woken."""
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return False
        # However many wake it, rounds are a second apart; who woke it in that second is answered by the same round.
        await asyncio.sleep(min(BETWEEN_S, seconds))
        self._event.clear()
        return True


def github_hook(secret: str, nudge: Callable[[], None]) -> FastAPI:
    """The app to mount at /github. `nudge` is called for a signed delivery, whatever it says."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/hook")
    async def hook(request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        try:
            body = await body_of(request.stream())
        except TooLarge:
            return JSONResponse({"error": "the delivery is too large; it is not needed"}, 413)
        if not is_signed(secret, body, request.headers.get("x-hub-signature-256")):
            return JSONResponse({"error": "the signature is missing or not of these bytes"}, 401)
        nudge()
        return JSONResponse({"status": "heard"}, 202)

    return app
