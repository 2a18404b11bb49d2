"""Where people's own clients come in to talk with somebody of the company. People only: a team that comes is refused, and written down.

A team that could talk here would speak with a person's voice: what it says would be nobody's message, in no chain, from no manager.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from mcp_servers.gateway.chat import ChatRequest
from mcp_servers.gateway.client_tokens import ClientTokens, looks_like_one
from mcp_servers.gateway.door import Door
from mcp_servers.gateway.identity import PERSON
from mcp_servers.gateway.rates import Rates
from mcp_servers.gateway.refusals import Refused

#: What one client may say, and how often it may look, in a minute: it is a program, and may have lost its way.
SAYS_PER_MINUTE, LOOKS_PER_MINUTE = 20, 240
OPERATOR = "operator"


@dataclass(frozen=True)
class Speaker:
    """A person, by the operator's token or by one made for a client: `token` is its id, or `operator`."""

    token: str


class Colleague(Protocol):
    """Somebody of the company who is talked with as if they were a model."""

    @property
    def name(self) -> str:
        """The name of the model."""
        ...

    async def answer(self, at: Reception, speaker: Speaker, wanted: ChatRequest, request: Request) -> Response:
        """The answer on OpenAI's wire; what passes or does not is written down `at` the reception. Raises `Refused`."""
        ...


@dataclass
class Reception:
    """`door` knows everybody else and writes the ledger; `colleague` is asked for when somebody comes."""

    door: Door
    tokens: ClientTokens
    colleague: Callable[[], Colleague]
    rates: Rates = field(default_factory=Rates)

    def concerns(self, authorization: str | None, body: bytes) -> bool:
        """Whether a chat request may be for the colleague; a quick look, for it is taken at every model call."""
        return self.is_client(authorization) or b'"' + self.colleague().name.encode() + b'"' in body

    def is_client(self, authorization: str | None) -> bool:
        """Whether a client's token is shown, good or bad."""
        return looks_like_one(authorization)

    async def speaker(self, authorization: str | None, where: str) -> Speaker:
        """The person who comes. Raises `Refused`: unauthenticated, or not allowed; a refused team is written down."""
        if self.is_client(authorization):
            try:
                return Speaker(await to_thread.run_sync(self.tokens.identify, authorization, self.door.clock()))
            except Refused:
                await self.door.note_unknown()
                raise
        caller = await self.door.identify(authorization)
        if caller.kind == "person":
            return Speaker(OPERATOR)
        name = self.colleague().name
        why = (
            f"{caller.address} may not talk with '{name}' at {where}: that is for people. A team's manager writes to the team "
            "executive, by A2A at /a2a/executive."
        )
        await self.door.record(caller, "person.talk", name, "refused", {"where": where, "why": why})
        raise Refused("not_allowed", why)

    async def refuse(self, speaker: Speaker, where: str, refused: Refused) -> Refused:
        """Writes a known person's refusal down, and gives it back to be raised."""
        await self.note(speaker, where, "refused", {"why": refused.message})
        return refused

    async def note(self, speaker: Speaker, where: str, outcome: str, detail: Mapping[str, Any]) -> None:
        """A ledger row: a person's client talked, or wanted to."""
        told = {"where": where, "token": speaker.token, **detail}
        await self.door.record(PERSON, "person.talk", self.colleague().name, outcome, told)

    async def admit(self, speaker: Speaker, where: str, per_minute: int) -> None:
        """Takes a place in the client's minute. Raises `Refused` (rate_limited), written down; the operator has no limit."""
        if speaker.token == OPERATOR:
            return
        try:
            self.rates.take(f"the client with the token {speaker.token}", where, per_minute, self.door.clock())
        except Refused as refused:
            raise await self.refuse(speaker, where, refused) from refused
