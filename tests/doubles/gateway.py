"""A whole gateway for tests: real app, real database file, real law; the company around it is a few dictionaries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from fastapi import FastAPI
from mcp.server.fastmcp import FastMCP
from sqlalchemy import select

from mcp_servers.cluster.peers import team_at
from mcp_servers.gateway.a2a_api import TeamAddress
from mcp_servers.gateway.app import Gateway, GatewayParts, create_gateway
from mcp_servers.gateway.directory import Directory
from mcp_servers.gateway.guard import Guard
from mcp_servers.gateway.identity import Identity, operator_token_hash
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.own_tokens import OwnTokens
from mcp_servers.gateway.turned_away import TurnedAway
from mcp_servers.gateway.upstreams import InProcessServer, ToolServer, current_caller
from memory import ledger
from memory.migrate import upgrade
from memory.session import Database
from memory.tables import AuditRow
from policies.access import Access, Grant, ServerGrant
from policies.budgets import Budgets
from policies.models import ModelsLaw
from tests.doubles.serving import free_port, serving

KEY = b"k" * 32
OPERATOR = "operator-token-0123456789abcdef"
START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


@dataclass
class World:
    """What the gateway is told about the company; tests change it while it runs."""

    now: datetime = START
    alive: set[str] = field(default_factory=lambda: {"d-marketing", "d-executive", "d-devops"})
    grants: tuple[Grant, ...] = (
        Grant(to="marketing-team/*", tools=("desk__whoami", "desk__fail", "desk__much")),
        Grant(to="devops/*", tools=("desk__*", "dead__*")),
    )
    servers: tuple[ServerGrant, ...] = ()
    calls_per_minute: int | None = None
    budgets: Budgets = field(default_factory=lambda: Budgets.model_validate({"team_usd_day": 10}))
    models_law: ModelsLaw = field(default_factory=ModelsLaw)
    team_budgets: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    models: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    addresses: dict[str, TeamAddress] = field(default_factory=dict[str, TeamAddress])
    #: Team processes: the team by pid.
    processes: dict[int, str] = field(default_factory=dict[int, str])
    rehearsal_answer: dict[str, Any] = field(default_factory=dict[str, Any])
    rehearsed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def rehearse(self, request: dict[str, Any]) -> Mapping[str, Any]:
        self.rehearsed.append(request)
        message = {"role": "assistant", "content": "Rehearsed: " + str(request["messages"][-1]["content"])}
        usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
        return {"message": message, "usage": usage, "finish_reason": "stop"} | self.rehearsal_answer


@dataclass
class Office:
    """The served gateway, with what tests ask of it."""

    url: str
    world: World
    database: Database
    identity: Identity
    gateway: Gateway

    def token(self, address: str = "marketing-team/editor", *, manager: bool = False, **claims: Any) -> str:
        team, member = address.split("/")
        given: dict[str, Any] = {
            "deployment_id": f"d-{team.removesuffix('-team')}",
            "jti": uuid4().hex,
            "now": self.world.now,
            "lifetime": timedelta(hours=1),
        }
        return self.identity.issue(team, member, manager=manager, **(given | claims))

    def headers(self, address: str = "marketing-team/editor", *, manager: bool = False) -> dict[str, str]:
        token = OPERATOR if address == "person" else self.token(address, manager=manager)
        return {"Authorization": f"Bearer {token}"}

    def ledger(self, action: str | None = None) -> list[tuple[str, str, str, str, dict[str, Any]]]:
        """(actor, action, subject, outcome, detail) of every row, oldest first; the chain is verified on the way."""
        with self.database.read() as session:
            assert ledger.verify(session).ok
            rows = session.scalars(select(AuditRow).order_by(AuditRow.seq))
            found = [(row.actor, row.action, row.subject, row.outcome, json.loads(row.detail)) for row in rows]
        return [row for row in found if action in (None, row[1])]


def desk() -> FastMCP[Any]:
    """A small tool server."""
    server: FastMCP[Any] = FastMCP("desk", log_level="ERROR")

    @server.tool()
    async def whoami(greeting: str = "hello") -> str:  # pyright: ignore[reportUnusedFunction] - a tool
        """Says who called."""
        return f"{greeting} {current_caller().address}"

    @server.tool()
    async def fail() -> str:  # pyright: ignore[reportUnusedFunction] - a tool
        """Always fails."""
        raise ValueError("the desk is on fire")

    @server.tool()
    async def much(size: int) -> str:  # pyright: ignore[reportUnusedFunction] - a tool
        """Gives a lot."""
        return "x" * size

    @server.tool()
    async def secret() -> str:  # pyright: ignore[reportUnusedFunction] - a tool
        """Granted to devops only."""
        return "the secret"

    return server


@contextmanager
def office(
    folder: Path,
    settings: ModelSettings | None = None,
    servers: list[ToolServer] | None = None,
    world: World | None = None,
    catalogue: Directory | None = None,
) -> Generator[Office]:
    """A gateway served on loopback behind its guard. A second one in the same folder is a restart: it finds the first one's rows."""
    world = world or World()
    database = Database(f"sqlite:///{_migrated(folder / 'gateway.db')}")
    identity = Identity(KEY, operator_token_hash(OPERATOR), lambda deployment, _rows: deployment in world.alive)
    port = free_port()
    gateway = create_gateway(
        GatewayParts(
            database=database,
            identity=identity,
            access=lambda: Access(grants=world.grants, servers=world.servers, calls_per_minute=world.calls_per_minute),
            budgets=lambda: world.budgets,
            models_law=lambda: world.models_law,
            models_of=lambda team, member: world.models.get(f"{team}/{member}", set()),
            team_budget_usd=lambda team: world.team_budgets.get(team),
            address_of=lambda team: world.addresses.get(team),
            model_settings=settings or ModelSettings(),
            rehearsal=world.rehearse,
            tool_servers=[InProcessServer("desk", desk()), *(servers or [])],
            catalogue=catalogue,
            public_url=f"http://127.0.0.1:{port}",
            clock=lambda: world.now,
            new_id=lambda: uuid4().hex,
        )
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        yield
        await gateway.close()

    app = FastAPI(lifespan=lifespan)
    app.include_router(gateway.router)
    turned_away = TurnedAway(database, lambda: world.now, gateway.door.refused_rows)
    own = OwnTokens(
        gateway.before(app),
        gateway.door.claimed,
        lambda end, likely: team_at(end, world.processes, likely=likely),
        refused=turned_away,
    )
    guard = Guard(own, {f"127.0.0.1:{port}"}, refused=turned_away)
    with serving(guard, port) as url:
        yield Office(url, world, database, identity, gateway)
    database.close()


@cache
def _template() -> bytes:
    """An empty, migrated database; migrating takes longer than most tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        database = Database(f"sqlite:///{path}")
        upgrade(database)
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        return path.read_bytes()


def _migrated(path: Path) -> Path:
    if not path.exists():
        path.write_bytes(_template())
    return path


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
