"""The forge as one app: GitHub's REST API at `/api/v3`, Git's smart HTTP at `/git`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_servers.git.forge import (
    api_contents,
    api_hooks,
    api_labels,
    api_pulls,
    api_repository,
    api_rules,
    api_statuses,
    api_talk,
    errors,
    events,
)
from mcp_servers.git.forge.conditional import Conditional
from mcp_servers.git.forge.courier import Courier
from mcp_servers.git.forge.identity import Identity
from mcp_servers.git.forge.limits import Limits
from mcp_servers.git.forge.protection import install_hook
from mcp_servers.git.forge.rate_limits import RateLimits
from mcp_servers.git.forge.site import STORE_NAME, Site, Visit
from mcp_servers.git.forge.smart_http import SmartHttp
from mcp_servers.git.forge.store import Store

#: The largest JSON body, in bytes: well above the longest text a pull request may have.
JSON_LIMIT = 1024 * 1024

#: In this order: what takes `commits/{ref}/status` comes before what takes all that is left of `commits/{ref}`.
ROUTERS = (
    api_talk.router, api_labels.router, api_statuses.router, api_pulls.router, api_rules.router, api_hooks.router,
    api_contents.router, api_repository.router,
)  # fmt: skip


def create_forge(
    root: Path,
    identities: Iterable[Identity],
    base_url: str,
    now: Callable[[], datetime],
    limits: Limits | None = None,
) -> FastAPI:
    """The forge over the folder `root`, to be mounted where `base_url` points (`http://127.0.0.1:7070/forge`).

    Installs the push protection; raises `ProtectionMissing` where it cannot run. Tells webhooks what was left untold when the
    forge ended last.
    """
    root.mkdir(parents=True, exist_ok=True)
    install_hook(root)
    store = Store(root / STORE_NAME)
    site = Site(
        root.resolve(), tuple(identities), base_url.rstrip("/"), now, store, Courier(store, now), limits or Limits()
    )  # fmt: skip
    api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    api.state.site = site
    for router in ROUTERS:
        api.include_router(router)
    errors.install(api)
    api.add_middleware(AlwaysJson)
    api.add_middleware(BodyLimit, limit=JSON_LIMIT)
    api.add_middleware(Conditional)
    api.add_middleware(RateLimits, site=site)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.site = site
    app.mount("/api/v3", api)
    app.mount("/git", SmartHttp(site))
    errors.install(app)
    _catch_up(site)
    return app


def _catch_up(site: Site) -> None:
    with site.store.read() as connection:
        hooked = {row["repo"] for row in connection.execute("SELECT DISTINCT repo FROM hooks")}
    for owner, name, repository in site.repositories():
        if f"{owner}/{name}" in hooked:
            events.notice(Visit(site, events.stranger(), owner, name, repository))


class AlwaysJson:
    """Takes every body for JSON, as GitHub does: `curl -d` says it is a form."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = [item for item in scope["headers"] if item[0] != b"content-type"]
            scope = {**scope, "headers": [*headers, (b"content-type", b"application/json")]}
        await self.app(scope, receive, send)


class BodyLimit:
    """Stops a request whose body is longer than `limit` bytes with 413, whatever its header says, before anybody reads it."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        messages = deque[Message]()
        total = 0
        while not messages or messages[-1].get("more_body", False):
            messages.append(await receive())
            total += len(messages[-1].get("body", b""))
            if total > self.limit:
                await errors.answer(413, f"Payload too large (maximum is {self.limit} bytes)")(scope, receive, send)
                return

        async def again() -> Message:
            return messages.popleft() if messages else await receive()

        await self.app(scope, again, send)
