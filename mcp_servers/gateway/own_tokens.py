"""In a team's process only that team's own tokens are good. What it got hold of besides is no token there.

Teams may not read each other's memory; this is for a token that got out some other way: written into an answer, a file, a log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from anyio import to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_servers.gateway.identity import Caller

#: Connections remembered at most; then all are asked about again.
REMEMBERED = 10_000
_AUTHORIZATION = b"authorization"

End = tuple[str, int]


@dataclass(frozen=True)
class Seat:
    """What was found of one connection: its client's end, as the server made it for this connection alone, and what it showed."""

    client: object
    shown: bytes
    stolen: bool


class OwnTokens:
    """Pure ASGI middleware for the whole app.

    `team_at` says which team's process holds the client's end of a connection (None: no team's), likeliest team first; it may
    block. `claimed` is whose the token says it is, by its signature; None for what is no member's, person's or kernel's token.
    Another team's token, a person's, the forge's: in a team's process it is taken off the request, and whoever asks for it next
    refuses in its own words, which are those for every bad token. `refused` is told.
    """

    def __init__(
        self,
        app: ASGIApp,
        claimed: Callable[[str], Caller | None],
        team_at: Callable[[End, str | None], str | None],
        refused: Callable[[str], Awaitable[None]],
    ) -> None:
        self._app, self._claimed, self._team_at, self._refused = app, claimed, team_at, refused
        self._seats: dict[End, Seat] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and await self._stolen(scope):
            scope = {**scope, "headers": [one for one in scope["headers"] if one[0] != _AUTHORIZATION]}
        await self._app(scope, receive, send)

    async def _stolen(self, scope: Scope) -> bool:
        shown = b"\n".join([value for name, value in scope["headers"] if name == _AUTHORIZATION])
        client: End | None = scope["client"]
        if not shown or client is None:
            return False
        seat = self._seats.get(client)
        # The server makes the client's end anew for each connection: another object is another connection from the same port.
        if seat is None or seat.client is not client or seat.shown != shown:
            seat = await self._asked(client, shown)
        return seat.stolen

    async def _asked(self, client: End, shown: bytes) -> Seat:
        caller = self._claimed(shown.decode("latin-1"))
        own = caller.team if caller is not None and caller.kind == "member" else None
        there = await to_thread.run_sync(self._team_at, client, own)
        if stolen := there is not None and there != own:
            whose = "nobody known" if caller is None else caller.address
            await self._refused(f"A token of {whose} was used by a process of the team {there}.")
        if len(self._seats) >= REMEMBERED:
            self._seats.clear()
        self._seats[client] = seat = Seat(client, shown, stolen)
        return seat
