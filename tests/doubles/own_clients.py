"""A gateway with its reception, the CEO's two faces behind it, and a CEO who says what a test wants, as slowly as it wants."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from bootstrap.office.ceo_chat import CeoAtV1
from bootstrap.office.ceo_mcp import PATH, ceo_mcp_endpoint, current_client
from bootstrap.office.ceo_tools import create_ceo_server
from bootstrap.office.office import Office as RealOffice
from bootstrap.office.talks import Talks
from bootstrap.office.token_desk import TokenDesk
from mcp_servers.gateway.app import Gateway, GatewayParts, create_gateway
from mcp_servers.gateway.client_tokens import ClientTokens
from memory import client_tokens, messages
from memory.messages import Answered, Sent
from memory.session import Database
from teams.messages import PersonMessage
from tests.doubles import gateway as doubles
from tests.doubles.gateway import KEY, Office, World, office

BETWEEN = ("person:owner", "executive")


@dataclass
class Ceo:
    """Answers `answer`; writes down what the gateway would. `wish`: what it is told leads to a message to the DevOps team."""

    database: Database
    world: World
    answer: str = "All is well."
    state: str = "completed"
    wish: bool = False
    takes_s: float = 0.0
    told: list[tuple[str, PersonMessage]] = field(default_factory=list[tuple[str, PersonMessage]])

    async def tell(self, message: PersonMessage, correlation_id: str) -> dict[str, Any]:
        self.told.append((correlation_id, message))
        asked = self._sent(correlation_id, *BETWEEN, "person_message", 1, message.text)
        if self.wish:
            wanted = self._sent(correlation_id, "executive/ceo", "devops", "team_creation_request", 2, "A gap")
            self._answered(wanted, "input_required", "Proposed.")
        await asyncio.sleep(self.takes_s)
        self._answered(asked, self.state, self.answer)
        evidence = [{"kind": "change", "text": "change #1 is open"}] if self.wish else []
        said = {"answer": self.answer, "state": self.state, "rehearsal": True, "evidence": evidence}
        return said | {"correlation_id": correlation_id}

    def _sent(self, correlation_id: str, sender: str, receiver: str, kind: str, hop: int, text: str) -> str:
        id_, at = uuid4().hex, self.world.now + timedelta(milliseconds=len(self.told) * 10 + hop)
        sent = Sent(id_, at, correlation_id, sender, sender, receiver, kind, hop, (receiver,), text)
        with self.database.begin() as session:
            messages.record_sent(session, sent)
        return id_

    def _answered(self, id_: str, state: str, text: str) -> None:
        with self.database.begin() as session:
            messages.record_answer(session, id_, Answered(self.world.now, state, text))


@dataclass
class Reached:
    """The gateway as clients see it, the CEO behind it, and the desk where tokens are made."""

    office: Office
    ceo: Ceo
    desk: TokenDesk
    tokens: ClientTokens

    @property
    def v1(self) -> str:
        return f"{self.office.url}/v1"

    @property
    def mcp(self) -> str:
        return f"{self.office.url}{PATH}"

    def token(self, days: int = 30) -> str:
        return str(self.desk.issue("test", days)["token"])


@dataclass
class Looks:
    """What the tools that look are given to show."""

    database: Database

    def status(self) -> dict[str, Any]:
        return {"teams": [{"team": "executive", "state": "active"}]}

    def costs(self) -> dict[str, Any]:
        return {"total_usd": "0.00"}


@contextmanager
def reached(
    folder: Path, patch: pytest.MonkeyPatch, *, patience_s: float = 5.0, ping_s: float = 0.05
) -> Generator[Reached]:
    world = World()
    held: dict[str, Any] = {}

    def with_reception(parts: GatewayParts) -> Gateway:
        database, now = parts.database, parts.clock
        ceo = held["ceo"] = Ceo(database, world)
        tokens = ClientTokens(KEY, lambda id_: client_tokens.is_open(database, id_))
        talks = Talks(ceo.tell, database, BETWEEN, lambda: True, now)
        at_v1 = CeoAtV1(talks, database, now, lambda: uuid4().hex, look_s=0.02, ping_s=ping_s)
        gateway = create_gateway(dataclasses.replace(parts, client_tokens=tokens, colleague=lambda: at_v1))
        assert gateway.reception is not None
        tools = create_ceo_server(cast(RealOffice, Looks(database)), talks, current_client, patience_s)
        gateway.router.add_route(PATH, ceo_mcp_endpoint(tools, gateway.reception), methods=["GET", "POST", "DELETE"])
        held["tokens"] = tokens
        held["desk"] = TokenDesk(database, tokens, BETWEEN[0], parts.public_url, lambda: uuid4().hex[:8], now)
        return gateway

    patch.setattr(doubles, "create_gateway", with_reception)
    with office(folder, world=world) as found:
        yield Reached(found, held["ceo"], held["desk"], held["tokens"])
