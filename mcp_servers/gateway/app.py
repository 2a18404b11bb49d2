"""The gateway, put together from what it is given. The one place that names all of its parts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
from anyio import to_thread
from fastapi import APIRouter
from starlette.types import ASGIApp

from mcp_servers.gateway.a2a_api import Relay, TeamAddress, a2a_router
from mcp_servers.gateway.allowance import Allowance, BudgetLaw
from mcp_servers.gateway.client_tokens import ClientTokens
from mcp_servers.gateway.directory import Directory
from mcp_servers.gateway.door import Door
from mcp_servers.gateway.fast_lane import Endpoint, FastLane
from mcp_servers.gateway.grants import DEFAULT_MODEL, Access, Grants
from mcp_servers.gateway.identity import Identity
from mcp_servers.gateway.mcp_api import mcp_endpoint
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.models import Models
from mcp_servers.gateway.openai_api import chat_endpoint, openai_router
from mcp_servers.gateway.pass_through import pass_through_router
from mcp_servers.gateway.pass_through_calls import PassThrough
from mcp_servers.gateway.pass_through_stream import Patience
from mcp_servers.gateway.prices import Prices
from mcp_servers.gateway.recalled import recall
from mcp_servers.gateway.reception import Colleague, Reception
from mcp_servers.gateway.tool_calls import ToolCalls, note_quarantine
from mcp_servers.gateway.upstreams import ToolServer, Upstreams
from mcp_servers.monitor.observer import Nobody, Observer
from mcp_servers.resilience.load import LoadGate
from mcp_servers.resilience.queue import Queue
from memory import messages
from memory.session import Database, Unwritable
from memory.writer import Writer
from policies.models import ModelsLaw

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GatewayParts:
    """Everything the gateway needs, given by the composition root.

    The callables that every call asks (law, models, budget) answer from memory or a file; `address_of` and `rehearsal` may block.
    """

    database: Database
    identity: Identity
    #: The law as main has it now.
    access: Callable[[], Access]
    budgets: Callable[[], BudgetLaw]
    #: What the deployed specs say: the models of a member, a team's daily budget in US dollars.
    models_of: Callable[[str, str], Collection[str]]
    team_budget_usd: Callable[[str], Decimal | None]
    address_of: Callable[[str], TeamAddress | None]
    model_settings: ModelSettings
    #: The rehearsal model: an OpenAI request with its `purpose` -> message, usage, finish_reason.
    rehearsal: Callable[[dict[str, Any]], Mapping[str, Any]]
    #: The kernel's own tool servers; `catalogue` are all others, as main admits them.
    tool_servers: Sequence[ToolServer]
    #: Where the gateway is reached, `http://127.0.0.1:7070`.
    public_url: str
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    catalogue: Directory | None = None
    #: The tools of the catalogue that a member's spec at main names.
    named_tools: Callable[[str, str], Collection[str]] = lambda _team, _member: ()
    #: Chains, economy and loop limits as main has them now.
    models_law: Callable[[], ModelsLaw] = ModelsLaw
    #: Sees every call; and what refuses new model calls when there are too many.
    observer: Observer = field(default_factory=Nobody)
    load: LoadGate = field(default_factory=LoadGate)
    #: How long what may take in a session with one tool server.
    patience: Patience = field(default_factory=Patience)
    #: Where calls wait for their turn.
    queue: Queue = field(default_factory=Queue)
    #: Tokens of people's own clients, and whom they talk with; asked for when somebody comes. Both or neither.
    client_tokens: ClientTokens | None = None
    colleague: Callable[[], Colleague] | None = None


@dataclass(frozen=True)
class Gateway:
    """The running gateway: its routes for the app, and the door for whoever needs to pass without HTTP."""

    router: APIRouter
    #: By path: what `before` serves.
    busiest: Mapping[str, Endpoint]
    door: Door
    models: Models
    client: httpx.AsyncClient
    upstreams: Upstreams
    relay: Relay
    through: PassThrough
    writer: Writer
    #: Where people's own clients come in; None: they do not.
    reception: Reception | None

    def before(self, app: ASGIApp) -> ASGIApp:
        """The app that includes `router`, with the gateway's busiest paths served before its routing."""
        return FastLane(app, self.busiest)

    def stop(self) -> None:
        """Sends away whoever waits for a turn, each with an answer. For any thread; called before the server stops."""
        self.door.queue.stop()

    async def close(self) -> None:
        """Ends all connections to providers and teams, and writes what is still to be written."""
        self.stop()
        await self.relay.close()
        await self.through.close()
        await self.models.close()
        await self.client.aclose()
        await self.upstreams.close()
        try:
            await to_thread.run_sync(self.door.settle_refusals)
        except Unwritable as error:
            log.warning("refusals that were counted could not be written down: %s", error)
        await to_thread.run_sync(self.writer.close)


def create_gateway(parts: GatewayParts) -> Gateway:
    """Builds the gateway and closes what an earlier one left open. Blocking; called once, before serving."""
    settings = parts.model_settings
    prices = Prices(settings.base_url, settings.price_per_million, lambda: parts.models_law().providers)
    grants = Grants(parts.access, parts.models_of, parts.named_tools)
    allowance = Allowance(parts.budgets, parts.team_budget_usd)
    writer = Writer(parts.database)
    door = Door(writer, parts.identity, grants, allowance, prices, parts.clock, parts.new_id, parts.queue)
    door.till.observer, door.till.load = parts.observer, parts.load
    models = Models(settings, parts.rehearsal, parts.models_law)
    # Teams are told to us by the kernel and reached directly: no proxy of the environment stands between.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    client = httpx.AsyncClient(trust_env=False, limits=limits, follow_redirects=False)
    with parts.database.begin() as session:
        messages.close_unanswered(session, parts.clock())
    door.sweep()
    # Reads the price list, which takes a while the first time.
    usable = models.usable(DEFAULT_MODEL, prices)
    # So does loading the SDK of the provider in use.
    if usable:
        models.load(models.default)
    router, reception = APIRouter(), None
    if parts.client_tokens is not None and parts.colleague is not None:
        reception = Reception(door, parts.client_tokens, parts.colleague)
    router.include_router(openai_router(door, models, reception))
    upstreams = Upstreams(
        parts.tool_servers,
        catalogue=parts.catalogue,
        on_quarantine=lambda server, it: note_quarantine(door, server, it),
    )
    calls = ToolCalls(door, upstreams, lambda: parts.models_law().queue)
    with parts.database.read() as session:
        recall(session, calls.rates, door.till.loops, door.till.circuits, parts.models_law().circuit, parts.clock())
    busiest = {
        "/mcp": mcp_endpoint(door, upstreams, calls),
        "/v1/chat/completions": chat_endpoint(door, models, reception),
    }
    through = PassThrough(door, upstreams, calls, parts.patience)
    router.include_router(pass_through_router(through))
    relay = Relay(door, client, parts.address_of, parts.public_url.rstrip("/"))
    router.include_router(a2a_router(relay))
    return Gateway(router, busiest, door, models, client, upstreams, relay, through, writer, reception)
