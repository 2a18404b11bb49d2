"""The gateway, put together from what it is given. The one place that names all of its parts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
from fastapi import APIRouter

from mcp_servers.gateway.a2a_api import Relay, TeamAddress, a2a_router
from mcp_servers.gateway.allowance import Allowance, BudgetLaw
from mcp_servers.gateway.door import Door
from mcp_servers.gateway.grants import Access, Grants
from mcp_servers.gateway.identity import Identity
from mcp_servers.gateway.mcp_api import mcp_router
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.models import Models
from mcp_servers.gateway.openai_api import openai_router
from mcp_servers.gateway.prices import Prices
from mcp_servers.gateway.upstreams import ToolServer, Upstreams
from memory import messages
from memory.session import Database


@dataclass(frozen=True)
class GatewayParts:
    """Everything the gateway needs, given by the composition root. Callables may block: they run in worker threads."""

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
    tool_servers: Sequence[ToolServer]
    #: Where the gateway is reached, `http://127.0.0.1:7070`.
    public_url: str
    clock: Callable[[], datetime]
    new_id: Callable[[], str]


@dataclass(frozen=True)
class Gateway:
    """The running gateway: its routes for the app, and the door for whoever needs to pass without HTTP."""

    router: APIRouter
    door: Door
    models: Models
    client: httpx.AsyncClient

    async def close(self) -> None:
        """Ends all connections to providers and teams."""
        await self.models.close()
        await self.client.aclose()


def create_gateway(parts: GatewayParts) -> Gateway:
    """Builds the gateway and closes what an earlier one left open. Blocking; called once, before serving."""
    settings = parts.model_settings
    prices = Prices(settings.base_url, settings.price_per_million)
    grants = Grants(parts.access, parts.models_of)
    allowance = Allowance(parts.budgets, parts.team_budget_usd)
    door = Door(parts.database, parts.identity, grants, allowance, prices, parts.clock, parts.new_id)
    models = Models(settings, parts.rehearsal)
    # Teams are told to us by the kernel and reached directly: no proxy of the environment stands between.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    client = httpx.AsyncClient(trust_env=False, limits=limits, follow_redirects=False)
    with parts.database.begin() as session:
        messages.close_unanswered(session, parts.clock())
    door.sweep()
    # Reads the price list, which takes a while the first time.
    models.usable(models.default.name, prices)
    # So does loading the SDK of the provider in use.
    models.provider(models.default)
    router = APIRouter()
    router.include_router(openai_router(door, models))
    router.include_router(mcp_router(door, Upstreams(parts.tool_servers)))
    router.include_router(a2a_router(Relay(door, client, parts.address_of, parts.public_url.rstrip("/"))))
    return Gateway(router, door, models, client)
