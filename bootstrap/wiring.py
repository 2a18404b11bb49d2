"""The one composition root: names every adapter and puts the company together. Nothing here decides."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import anyio.to_thread
import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from bootstrap.home import Home
from bootstrap.lawbook import LawBook
from bootstrap.office.api import office_api
from bootstrap.office.describe import Teams
from bootstrap.office.gateway_api import gateway_api
from bootstrap.office.office import Office
from bootstrap.office.spending import Spending
from bootstrap.places import OWNER, REPO, account_of
from bootstrap.price_list import candidates, in_micro, price_list
from bootstrap.server_catalogue import server_catalogue
from bootstrap.settings import Settings
from bootstrap.watching import Watchers, create_monitor, create_watchers, serve_metrics
from mcp_servers.cluster.processes import LocalProcesses
from mcp_servers.cluster.reconciler import Reconciler
from mcp_servers.cluster.server import create_cluster_server
from mcp_servers.factories.server import create_factory_server
from mcp_servers.gateway.a2a_api import TeamAddress
from mcp_servers.gateway.app import Gateway, GatewayParts, create_gateway
from mcp_servers.gateway.directory import Directory
from mcp_servers.gateway.guard import Guard
from mcp_servers.gateway.identity import Caller, Identity, operator_token_hash
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.models import Models
from mcp_servers.gateway.prices import Prices, Rate
from mcp_servers.gateway.rehearsal.model import answer as rehearse
from mcp_servers.gateway.upstreams import InProcessServer, current_caller
from mcp_servers.git.factory import TeamFactory
from mcp_servers.git.forge import GATE, PERSON, PROPOSER, bare_path, create_forge, token_sha256
from mcp_servers.git.forge import Identity as Account_
from mcp_servers.git.github import GitHubChanges
from mcp_servers.git.merge_desk import MergeDesk
from mcp_servers.git.proposer import Proposer
from mcp_servers.git.repository import Repository
from mcp_servers.git.server import create_git_server
from mcp_servers.monitor.monitor import Monitor
from mcp_servers.registry.server import create_registry_server
from memory import deployments, registry
from memory.session import Database
from memory.tables import IncidentRow
from teams.messages import ChangeEvent, Envelope, Incident
from teams.runtime.gateway_client import Gateway as Door
from teams.spec import Member, TeamSpec

_HAND = "reconciler"
_FOREVER = timedelta(days=3650)
_PUSH_LIMIT = 50_000_000


@dataclass
class Kernel:
    """The running company's parts, for the loops and for whoever serves them."""

    app: ASGIApp
    database: Database
    repository: Repository
    cluster: LocalProcesses
    reconciler: Reconciler
    desk: MergeDesk
    proposer: Proposer
    gateway: Gateway
    office: Office
    #: Speaks to teams as the kernel's own hand.
    door: Door
    client: httpx.AsyncClient
    places: tuple[GitHubChanges, ...]
    monitor: Monitor
    watchers: Watchers
    now: Callable[[], datetime]

    async def tell_of_change(self, number: int) -> None:
        """Nudges the DevOps team: this change moved on."""
        payload = ChangeEvent(change=number)
        envelope = Envelope(kind="change_event", correlation_id=f"change-{number}", payload=payload)
        await self.door.send(_HAND, "devops", f"Change {number} moved on; read its state.", envelope)

    async def close(self) -> None:
        """Ends every team and every connection."""
        await self.cluster.close()
        await self.office.person.aclose()
        await self.door.aclose()
        await self.gateway.close()
        await self.client.aclose()
        for place in self.places:
            place.close()
        await anyio.to_thread.run_sync(self.watchers.close)
        self.database.close()


def assemble(settings: Settings, home: Home, database: Database, now: Callable[[], datetime]) -> Kernel:
    """Builds the company over a prepared home, a migrated database and a seeded repository."""
    repository = Repository(_bare(home))
    gate, proposer_place, owner = (
        GitHubChanges(account_of(settings, home, login), now) for login in ("elf-gate", "elf-devops", "owner")
    )
    law = LawBook(repository)
    models = Models(_model_settings(settings), rehearse, lambda: law.law().models)
    price_of = price_list(models, Prices(settings.model_base_url, _rate(settings)))
    factory = TeamFactory(price_of)
    desk = MergeDesk(gate, repository, database, factory, now, people={"owner": owner})
    proposer = Proposer(proposer_place, desk, repository, database, factory, now)
    identity = Identity(
        home.key("gateway").encode(), operator_token_hash(home.key("operator")), lambda id_: _is_open(database, id_)
    )
    kernel_token = identity.issue_kernel(_HAND, jti=secrets.token_hex(8), now=now(), lifetime=_FOREVER)
    door = Door(settings.address, {_HAND: kernel_token})
    client = httpx.AsyncClient(trust_env=False)
    cluster = LocalProcesses(settings.checkout, home.path)

    async def report_incident(incident: IncidentRow) -> None:
        payload = Incident(team=incident.team, tree=incident.tree, reason=incident.reason)
        # The same tree may fall ill again another day: that is another incident, with a rollback of its own.
        id_ = f"incident-{incident.team}-{incident.tree[:12]}-{incident.opened_at:%Y%m%dT%H%M%S}"
        envelope = Envelope(kind="incident", correlation_id=id_, payload=payload)
        await door.send(_HAND, "devops", f"The team {incident.team} is ill: {incident.reason}", envelope)

    reconciler = Reconciler(
        repository=repository,
        database=database,
        cluster=cluster,
        home=home.path,
        gateway_url=settings.address,
        issue_token=_token_issuer(identity),
        report_incident=report_incident,
        now=now,
        client=client,
    )
    teams = Teams(database, cluster, reconciler)
    watchers = create_watchers(settings)
    servers = (
        InProcessServer("registry", create_registry_server(database)),
        InProcessServer("factory", create_factory_server(price_of)),
        InProcessServer("git", create_git_server(proposer, gate, database, lambda: current_caller().address)),
        InProcessServer("cluster", create_cluster_server(cluster, lambda team: teams.one(team, now()))),
    )
    catalogue = server_catalogue(settings, home, repository, law, database, now)
    gateway = create_gateway(
        GatewayParts(
            database=database,
            identity=identity,
            access=lambda: law.law().access,
            budgets=lambda: law.law().budgets,
            models_law=lambda: law.law().models,
            models_of=lambda team, member: _models_of(database, team, member),
            team_budget_usd=lambda team: _budget_of(database, team),
            address_of=lambda team: _address_of(database, team),
            model_settings=_model_settings(settings),
            rehearsal=rehearse,
            tool_servers=servers,
            public_url=settings.address,
            clock=now,
            new_id=lambda: secrets.token_hex(16),
            observer=watchers.observer,
            load=watchers.load,
            catalogue=catalogue,
        )
    )
    monitor = create_monitor(settings, home, database, repository, law.law, teams, gateway.upstreams, watchers, now)
    office = Office(
        database=database,
        cluster=cluster,
        repository=repository,
        teams=teams,
        desk=desk,
        gate=gate,
        person=Door(settings.address, {"owner": home.key("operator")}),
        model_name=lambda: models.default_name,
        notice=reconciler.notice,
        now=now,
        health=monitor.report,
        spending=Spending(
            database=database,
            limits_of=lambda team, member: gateway.door.allowance.limits(Caller(team, member, False, None, "member")),
            candidates=lambda: candidates(models),
            price_of=in_micro(price_of),
            now=now,
        ),
    )
    forge = create_forge(home.forge, _forge_identities(home), f"{settings.address}/forge", now)
    return Kernel(
        app=_app(settings, gateway, catalogue, office, identity, forge, watchers, now),
        database=database,
        repository=repository,
        cluster=cluster,
        reconciler=reconciler,
        desk=desk,
        proposer=proposer,
        gateway=gateway,
        office=office,
        door=door,
        client=client,
        places=(gate, proposer_place, owner),
        monitor=monitor,
        watchers=watchers,
        now=now,
    )


def _app(
    settings: Settings,
    gateway: Gateway,
    catalogue: Directory,
    office: Office,
    identity: Identity,
    forge: FastAPI,
    watchers: Watchers,
    now: Callable[[], datetime],
) -> ASGIApp:
    app = FastAPI(title="ElfAutomations", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(gateway.router)
    app.mount("/api/gateway", gateway_api(gateway, catalogue, identity, now))
    app.mount("/api", office_api(office, identity, now))
    app.mount("/forge", forge)
    serve_metrics(app, watchers.metrics, identity, now, open_=settings.metrics_open)

    @app.get("/health")
    def health() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        return {"status": "ok"}

    hosts = [f"{host}:{settings.port}" for host in ("127.0.0.1", "localhost")]
    return Guard(app, hosts, {"/forge/git/": _PUSH_LIMIT})


def _bare(home: Home) -> Path:
    path = bare_path(home.forge, OWNER, REPO)
    assert path is not None
    return path


def _forge_identities(home: Home) -> list[Account_]:
    rights = {"elf-devops": PROPOSER, "elf-gate": GATE, "owner": PERSON}
    return [Account_(login, token_sha256(home.key(f"forge-{login}")), may) for login, may in rights.items()]


def _model_settings(settings: Settings) -> ModelSettings:
    return ModelSettings(
        openai_api_key=settings.openai_api_key,
        anthropic_api_key=settings.anthropic_api_key,
        base_url=settings.model_base_url,
        base_url_model=settings.model_name or "default",
        base_url_api_key=settings.model_api_key,
        price_per_million=_rate(settings),
    )


def _rate(settings: Settings) -> Rate | None:
    return Rate(*settings.model_price) if settings.model_price else None


def _token_issuer(identity: Identity) -> Callable[[str, Member, str, datetime, timedelta], str]:
    def issue(team: str, member: Member, deployment_id: str, now: datetime, lifetime: timedelta) -> str:
        return identity.issue(
            team,
            member.name,
            manager=member.manager,
            deployment_id=deployment_id,
            jti=secrets.token_hex(8),
            now=now,
            lifetime=lifetime,
        )

    return issue


def _is_open(database: Database, deployment_id: str) -> bool:
    with database.read() as session:
        return deployments.is_open(session, deployment_id)


def _spec_of(database: Database, team: str) -> TeamSpec | None:
    with database.read() as session:
        row = registry.team(session, team)
        return TeamSpec.model_validate(row.spec) if row else None


def _models_of(database: Database, team: str, member: str) -> Collection[str]:
    """The model that main's spec names for this member."""
    spec = _spec_of(database, team)
    return {spec.model_of(one) for one in spec.members if one.name == member} if spec else set()


def _budget_of(database: Database, team: str) -> Decimal | None:
    spec = _spec_of(database, team)
    return spec.daily_budget_usd if spec else None


def _address_of(database: Database, team: str) -> TeamAddress | None:
    with database.read() as session:
        row = deployments.serving(session, team)
        return TeamAddress(row.address, row.inbound_token) if row and row.address else None
