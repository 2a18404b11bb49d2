"""Tokens for a person's own clients: made, listed and revoked by the person, in the office. One is shown once and kept nowhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from bootstrap.office.ceo_chat import CEO
from bootstrap.office.ceo_mcp import PATH
from mcp_servers.gateway.client_tokens import ClientTokens
from memory import client_tokens
from memory.client_tokens import ClientToken
from memory.session import Database
from teams.messages import Short

DEFAULT_DAYS, MOST_DAYS = 30, 365
#: Living tokens at once; more are a sign that nobody looks after them.
MOST = 50


class NoSuchToken(LookupError):
    """There is no living token of that id."""


class TooManyTokens(ValueError):
    """As many live as may."""


@dataclass(frozen=True)
class TokenDesk:
    """`person` is in whose name; `address` where the company is reached; `new_id` gives fresh ids of hex digits."""

    database: Database
    tokens: ClientTokens
    person: str
    address: str
    new_id: Callable[[], str]
    now: Callable[[], datetime]

    def issue(self, label: str, days: int) -> dict[str, Any]:
        """A token with what a client's settings want to know. Raises `TooManyTokens`."""
        now, lifetime = self.now(), timedelta(days=days)
        token = ClientToken(self.new_id(), label, now, now + lifetime)
        with self.database.begin() as session:
            if sum(one.is_open(now) for one in client_tokens.every(session)) >= MOST:
                raise TooManyTokens(f"{MOST} tokens live already; revoke one that nobody uses: ./elf token list")
            client_tokens.record_issued(session, self.person, token)
        secret = self.tokens.issue(token.id, now=now, lifetime=lifetime)
        return self._described(token) | {"token": secret, "openai": self._openai(secret), "mcp": self._mcp(secret)}

    def listed(self) -> dict[str, Any]:
        """All that were ever made, without the tokens themselves."""
        with self.database.read() as session:
            return {"tokens": [self._described(one) for one in client_tokens.every(session)]}

    def revoke(self, id_: str) -> dict[str, Any]:
        """Ends a token at once. Raises `NoSuchToken`."""
        now = self.now()
        with self.database.begin() as session:
            known = {one.id: one for one in client_tokens.every(session) if one.is_open(now)}
            if id_ not in known:
                raise NoSuchToken(f"there is no living token '{id_[:32]}'; ./elf token list shows them")
            client_tokens.record_revoked(session, self.person, id_, now)
        return self._described(known[id_]) | {"state": "revoked"}

    def _described(self, token: ClientToken) -> dict[str, Any]:
        now = self.now()
        state = "revoked" if token.revoked_at else "living" if token.is_open(now) else "ended"
        times = {"issued_at": token.issued_at.isoformat(), "ends_at": token.ends_at.isoformat()}
        return {"id": token.id, "label": token.label, "state": state} | times

    def _openai(self, secret: str) -> dict[str, str]:
        return {"base_url": f"{self.address}/v1", "api_key": secret, "model": CEO}

    def _mcp(self, secret: str) -> dict[str, Any]:
        server = {
            "type": "http",
            "url": f"{self.address}{PATH}",
            "headers": {"Authorization": f"Bearer {secret}"},
        }
        return {"mcpServers": {"elf": server}}


class New(BaseModel):
    model_config = ConfigDict(extra="forbid")

    label: Short
    days: int = Field(default=DEFAULT_DAYS, ge=1, le=MOST_DAYS)


def token_routes(desk: TokenDesk) -> APIRouter:
    """The office's routes for them; whoever includes these lets the person alone through, with the operator's token."""
    router = APIRouter(prefix="/tokens")

    @router.post("")
    def issue(body: New) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        try:
            return JSONResponse(desk.issue(body.label, body.days), headers={"Cache-Control": "no-store"})
        except TooManyTokens as error:
            return JSONResponse({"error": str(error)}, 409)

    @router.get("")
    def listed() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return desk.listed()

    @router.post("/{id_}/revoke")
    def revoke(id_: str) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        try:
            return JSONResponse(desk.revoke(id_))
        except NoSuchToken as error:
            return JSONResponse({"error": str(error)}, 404)

    return router
