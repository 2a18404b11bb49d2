"""Rate limits on the wire: what is left on every answer, and 403 for what is too much, as GitHub answers."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_servers.git.forge import errors
from mcp_servers.git.forge.identity import identify, presented_token
from mcp_servers.git.forge.site import Site

READS = frozenset({"GET", "HEAD", "OPTIONS"})
SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."


class RateLimits:
    """ASGI middleware: counts by account, says on every answer what is left, and refuses what is too much with 403.

    An answer of 304 does not count, and asking for `/rate_limit` does not either.
    """

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app, self._site = app, site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        login = self._login(scope) if scope["type"] == "http" else None
        if login is None:
            await self._app(scope, receive, send)
            return
        now, limits = self._site.now(), self._site.limits
        writes = scope["method"] not in READS
        free = scope["path"].endswith("/rate_limit")
        wait = None if free else limits.admit(login, now, writes=writes)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                if wait is None and not free and message["status"] != 304:
                    limits.count(login, now)
                headers = MutableHeaders(scope=message)
                for name, value in limits.standing(login, now).headers().items():
                    headers[name] = value
            await send(message)

        if wait is None:
            await self._app(scope, receive, with_headers)
        elif wait.secondary:
            answer = errors.answer(403, SECONDARY, headers={"Retry-After": str(wait.seconds)})
            await answer(scope, receive, with_headers)
        else:
            message = f"API rate limit exceeded for {login}. It begins anew in {wait.seconds} s."
            await errors.answer(403, message)(scope, receive, with_headers)

    def _login(self, scope: Scope) -> str | None:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        token = presented_token(given.decode("latin-1"))
        identity = identify(self._site.identities, token) if token else None
        return identity.login if identity else None
