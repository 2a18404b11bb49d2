"""The conformance suite's server behind a whole gateway, and a member who may use all of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_servers.gateway.app import Gateway, GatewayParts, create_gateway
from policies.access import Grant, ServerGrant
from tests.doubles import gateway as doubles
from tests.doubles.everything import definitions, everything_served
from tests.doubles.gateway import Office, World, office
from tests.doubles.tool_world import FakeMain, directory
from tests.factories.server_specs import wrapped

TOOLS = (Grant(to="marketing-team/*", tools=("everything__*",)),)
REST = (
    ServerGrant(
        to="marketing-team/editor",
        server="everything",
        resources=("test://.*",),
        prompts=("test_.*",),
        allow=("logging", "sampling", "elicitation"),
    ),
)


class WithToken:
    """The suite cannot send a token: this adds one where there is none, and nothing else, inside the guard."""

    def __init__(self, app: ASGIApp, token: Callable[[], str]) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and all(name != b"authorization" for name, _ in scope["headers"]):
            scope = {**scope, "headers": [*scope["headers"], (b"authorization", f"Bearer {self._token()}".encode())]}
        await self._app(scope, receive, send)


@contextmanager
def behind_the_gateway(folder: Path, patch: pytest.MonkeyPatch, world: World) -> Generator[tuple[Office, str]]:
    """The gateway, and the server's address there; whoever brings no token comes as `marketing-team/editor`."""
    guard, token = doubles.Guard, ""

    def guarded(app: ASGIApp, *settings: Any, **more: Any) -> ASGIApp:
        return guard(WithToken(app, lambda: token), *settings, **more)

    def with_catalogue(parts: GatewayParts) -> Gateway:
        return create_gateway(dataclasses.replace(parts, catalogue=catalogue))

    patch.setattr(doubles, "Guard", guarded)
    patch.setattr(doubles, "create_gateway", with_catalogue)
    with everything_served() as url:
        main = FakeMain()
        main.merge(wrapped(definitions(), name="everything", url=url))
        catalogue = directory(main, folder)
        with office(folder, world=world) as found:
            token = found.token("marketing-team/editor")
            yield found, f"{found.url}/mcp/everything"
