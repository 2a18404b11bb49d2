"""The one composition root: names every adapter and puts the company together. Nothing here decides."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

import anyio.to_thread
import httpx
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from starlette.types import ASGIApp

from bootstrap.home import Home
from bootstrap.known_secrets import known_secrets
from bootstrap.lawbook import LawBook
from bootstrap.office.api import office_api
from bootstrap.office.ceo_chat import CeoAtV1
from bootstrap.office.ceo_mcp import PATH, ceo_mcp_endpoint, current_client
from bootstrap.office.ceo_tools import create_ceo_server
from bootstrap.office.describe import Teams
from bootstrap.office.gateway_api import gateway_api
from bootstrap.office.github_hook import Waker, github_hook
from bootstrap.office.law_desk import LawDesk
from bootstrap.office.office import CEO_TEAM, PERSON, Office
from bootstrap.office.proposals import ProposalDesk
from bootstrap.office.spending import Spending
from bootstrap.office.talks import Talks
from bootstrap.office.token_desk import TokenDesk, token_routes
from bootstrap.office.welcome import WELCOME
from bootstrap.places import HOOK_KEY, Connection, account_of, connection_of, mirror_path, repository_path
from bootstrap.price_list import candidates, in_micro, price_list
from bootstrap.server_catalogue import looker, server_catalogue
from bootstrap.settings import Settings
from bootstrap.watching import Watchers, create_monitor, create_watchers, serve_metrics
from mcp_servers.checks.runs import FolderRuns
from mcp_servers.checks.secret_scan import SecretScanner
from mcp_servers.cluster.peers import End, team_at
from mcp_servers.cluster.processes import LocalProcesses
from mcp_servers.cluster.reconciler import Reconciler
from mcp_servers.cluster.server import create_cluster_server
from mcp_servers.factories.forecast import Price
from mcp_servers.factories.server import create_factory_server
from mcp_servers.gateway.a2a_api import TeamAddress
from mcp_servers.gateway.app import Gateway, GatewayParts, create_gateway
from mcp_servers.gateway.client_tokens import ClientTokens
from mcp_servers.gateway.directory import Directory
from mcp_servers.gateway.guard import Guard
from mcp_servers.gateway.identity import Caller, Identity, operator_token_hash
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.models import Models
from mcp_servers.gateway.own_tokens import OwnTokens
from mcp_servers.gateway.prices import Prices, Rate
from mcp_servers.gateway.rehearsal.model import answer as rehearse
from mcp_servers.gateway.server import create_gateway_server
from mcp_servers.gateway.turned_away import TurnedAway
from mcp_servers.gateway.upstreams import InProcessServer, current_caller
from mcp_servers.git.changes import Changes
from mcp_servers.git.checking import BackgroundChecks
from mcp_servers.git.factory import TeamFactory
from mcp_servers.git.forge import GATE, PROPOSER, create_forge, token_sha256
from mcp_servers.git.forge import PERSON as PERSON_
from mcp_servers.git.forge import Identity as Account_
from mcp_servers.git.github import GitHubChanges
from mcp_servers.git.github_webhook import LARGEST
from mcp_servers.git.hand_proposer import HandProposer
from mcp_servers.git.inspection import Inspector
from mcp_servers.git.merge_desk import MergeDesk, Person
from mcp_servers.git.mirror import Mirror, Mirrored
from mcp_servers.git.person_elsewhere import PersonElsewhere
from mcp_servers.git.proposer import Proposer
from mcp_servers.git.rebase import Rebase
from mcp_servers.git.repository import Repository
from mcp_servers.git.server import create_git_server
from mcp_servers.monitor.monitor import Monitor
from mcp_servers.registry.server import create_registry_server
from mcp_servers.sandbox.choice import choose
from memory import client_tokens, deployments
from memory.session import Database
from memory.tables import IncidentRow
from teams.messages import ChangeEvent, Envelope, Incident
from teams.runtime.gateway_client import Gateway as Door
from teams.spec import Member

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
    rebase: Rebase
    checks: BackgroundChecks
    gateway: Gateway
    catalogue: Directory
    office: Office
    #: What people's own clients say to the CEO.
    talks: Talks
    #: Speaks to teams as the kernel's own hand.
    door: Door
    client: httpx.AsyncClient
    places: tuple[GitHubChanges, ...]
    monitor: Monitor
    watchers: Watchers
    now: Callable[[], datetime]
    #: GitHub's branches here, if the company is kept there.
    mirror: Mirror | None
    #: Wakes the merge desk's round before its time.
    waker: Waker

    async def tell_of_change(self, number: int) -> None:
        """Nudges the DevOps team: this change moved on."""
        payload = ChangeEvent(change=number)
        envelope = Envelope(kind="change_event", correlation_id=f"change-{number}", payload=payload)
        await self.door.send(_HAND, "devops", f"Change {number} moved on; read its state.", envelope)

    async def close(self) -> None:
        """Ends every team and every connection."""
        await self.talks.close()
        await self.cluster.close()
        await self.office.person.aclose()
        await self.door.aclose()
        await self.gateway.close()
        await self.client.aclose()
        for place in self.places:
            place.close()
        await anyio.to_thread.run_sync(self.watchers.close)
        await anyio.to_thread.run_sync(self.checks.close)
        self.database.close()


def assemble(settings: Settings, home: Home, database: Database, now: Callable[[], datetime]) -> Kernel:
    """Builds the company over a prepared home, a migrated database and a seeded repository."""
    return _Assembly(settings, home, database, now).kernel()


class _Assembly:
    """Every part once, made when another part first asks for it. A part names here what it is made of."""

    def __init__(self, settings: Settings, home: Home, database: Database, now: Callable[[], datetime]) -> None:
        self.settings, self.home, self.database, self.now = settings, home, database, now

    def kernel(self) -> Kernel:
        return Kernel(
            app=self.app,
            database=self.database,
            repository=self.repository,
            cluster=self.cluster,
            reconciler=self.reconciler,
            desk=self.desk,
            proposer=self.proposer,
            rebase=Rebase(self.bot, self.desk, self.repository, self.database, self.factory, self.now),
            checks=self.checks,
            gateway=self.gateway,
            catalogue=self.catalogue,
            office=self.office,
            talks=self.talks,
            door=self.door,
            client=self.client,
            places=self.places,
            monitor=self.monitor,
            watchers=self.watchers,
            now=self.now,
            mirror=self.mirror,
            waker=self.waker,
        )

    # --- the law, and the road that changes take ---

    @cached_property
    def repository(self) -> Repository:
        return Repository(repository_path(self.home))

    @cached_property
    def law(self) -> LawBook:
        return LawBook(self.repository)

    @cached_property
    def connection(self) -> Connection | None:
        return connection_of(self.home)

    @cached_property
    def waker(self) -> Waker:
        return Waker()

    @cached_property
    def mirror(self) -> Mirror | None:
        if self.connection is None:
            return None
        account = self.connection.gate_account(self.home, self.now)
        return Mirror(mirror_path(self.home, self.connection.repo), account, self.now)

    @cached_property
    def places(self) -> tuple[GitHubChanges, ...]:
        """The gate, the proposer and, on the embedded forge, the person; each with connections of its own."""
        if self.connection is not None:
            accounts = [
                self.connection.gate_account(self.home, self.now),
                self.connection.proposer_account(self.home, self.now),
            ]
        else:
            accounts = [account_of(self.settings, self.home, login) for login in ("elf-gate", "elf-devops", "owner")]
        return tuple(GitHubChanges(account, self.now) for account in accounts)

    @cached_property
    def gate(self) -> Changes:
        return Mirrored(self.places[0], self.mirror) if self.mirror else self.places[0]

    @cached_property
    def bot(self) -> Changes:
        return Mirrored(self.places[1], self.mirror) if self.mirror else self.places[1]

    @cached_property
    def people(self) -> dict[str, Person]:
        """Who may approve, by login. On GitHub they do it there, signed in as themselves."""
        if self.connection is None:
            return {"owner": self.places[2]}
        return {login: PersonElsewhere(login, self.connection.page) for login in self.connection.people}

    @cached_property
    def factory(self) -> TeamFactory:
        return TeamFactory(self.price_of)

    @cached_property
    def desk(self) -> MergeDesk:
        return MergeDesk(
            self.gate,
            self.repository,
            self.database,
            self.factory,
            self.now,
            people=self.people,
            inspector=Inspector(self.repository, self.secret_scanner, self.checks),
            login=self.places[0].account.login,
        )

    @cached_property
    def secret_scanner(self) -> SecretScanner:
        return SecretScanner(lambda: known_secrets(self.settings, self.home))

    @cached_property
    def checks(self) -> BackgroundChecks:
        return BackgroundChecks(self.database, FolderRuns(self.settings.checkout), choose, self.now)

    @cached_property
    def proposer(self) -> Proposer:
        return Proposer(
            self.bot,
            self.desk,
            self.repository,
            self.database,
            self.factory,
            self.now,
            login=self.places[1].account.login,
        )

    @cached_property
    def forge(self) -> FastAPI:
        return create_forge(self.home.forge, _forge_identities(self.home), f"{self.settings.address}/forge", self.now)

    # --- models and money ---

    @cached_property
    def models(self) -> Models:
        return Models(_model_settings(self.settings), rehearse, lambda: self.law.law().models)

    @cached_property
    def price_of(self) -> Callable[[str], Price | None]:
        return price_list(self.models, self.prices)

    @cached_property
    def prices(self) -> Prices:
        return Prices(self.settings.model_base_url, _rate(self.settings), lambda: self.law.law().models.providers)

    @cached_property
    def spending(self) -> Spending:
        allowance = self.gateway.door.allowance
        return Spending(
            database=self.database,
            limits_of=lambda team, member: allowance.limits(Caller(team, member, False, None, "member")),
            candidates=lambda: candidates(self.models),
            price_of=in_micro(self.price_of),
            now=self.now,
        )

    # --- teams, and who speaks to them ---

    @cached_property
    def identity(self) -> Identity:
        key, operator = self.home.key("gateway").encode(), operator_token_hash(self.home.key("operator"))
        return Identity(key, operator, lambda id_, rows: deployments.is_open(self.database, id_, rows))

    @cached_property
    def door(self) -> Door:
        """Speaks to teams as the kernel's own hand, with a token that is never written down."""
        token = self.identity.issue_kernel(_HAND, jti=secrets.token_hex(8), now=self.now(), lifetime=_FOREVER)
        return Door(self.settings.address, {_HAND: token})

    @cached_property
    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(trust_env=False)

    @cached_property
    def cluster(self) -> LocalProcesses:
        return LocalProcesses(self.settings.checkout, self.home.path)

    @cached_property
    def reconciler(self) -> Reconciler:
        return Reconciler(
            repository=self.repository,
            database=self.database,
            cluster=self.cluster,
            home=self.home.path,
            gateway_url=self.settings.address,
            issue_token=_token_issuer(self.identity),
            report_incident=self._report_incident,
            now=self.now,
            client=self.client,
        )

    async def _report_incident(self, incident: IncidentRow) -> None:
        payload = Incident(team=incident.team, tree=incident.tree, reason=incident.reason)
        # The same tree may fall ill again another day: that is another incident, with a rollback of its own.
        id_ = f"incident-{incident.team}-{incident.tree[:12]}-{incident.opened_at:%Y%m%dT%H%M%S}"
        envelope = Envelope(kind="incident", correlation_id=id_, payload=payload)
        await self.door.send(_HAND, "devops", f"The team {incident.team} is ill: {incident.reason}", envelope)

    @cached_property
    def teams(self) -> Teams:
        return Teams(self.database, self.cluster, self.reconciler)

    # --- the gateway and what stands behind it ---

    @cached_property
    def servers(self) -> tuple[InProcessServer, ...]:
        git = create_git_server(self.proposer, self.gate, self.database, lambda: current_caller().address)
        return (
            InProcessServer("registry", create_registry_server(self.database)),
            InProcessServer("factory", create_factory_server(self.price_of)),
            InProcessServer("git", git),
            InProcessServer(
                "cluster", create_cluster_server(self.cluster, lambda team: self.teams.one(team, self.now()))
            ),
            InProcessServer(
                "gateway",
                create_gateway_server(lambda: self.gateway.upstreams, self.catalogue, looker(self.home, self.law)),
            ),
        )

    @cached_property
    def catalogue(self) -> Directory:
        return server_catalogue(self.settings, self.home, self.repository, self.law, self.database, self.now)

    @cached_property
    def watchers(self) -> Watchers:
        return create_watchers(self.settings)

    @cached_property
    def gateway(self) -> Gateway:
        database = self.database
        return create_gateway(
            GatewayParts(
                database=database,
                identity=self.identity,
                access=lambda: self.law.law().access,
                budgets=lambda: self.law.law().budgets,
                models_law=lambda: self.law.law().models,
                models_of=self._models_of,
                team_budget_usd=self._budget_of,
                address_of=lambda team: _address_of(database, team),
                model_settings=_model_settings(self.settings),
                rehearsal=rehearse,
                tool_servers=self.servers,
                public_url=self.settings.address,
                clock=self.now,
                new_id=lambda: secrets.token_hex(16),
                observer=self.watchers.observer,
                load=self.watchers.load,
                queue=self.watchers.queue,
                catalogue=self.catalogue,
                named_tools=self._named_tools,
                client_tokens=self.client_tokens,
                colleague=lambda: self.ceo_at_v1,
            )
        )

    def _models_of(self, team: str, member: str) -> Collection[str]:
        """The model that main's spec names for this member. Asked at every call, so answered from memory."""
        spec = self.reconciler.spec_of(team)
        return {spec.model_of(one) for one in spec.members if one.name == member} if spec else set()

    def _named_tools(self, team: str, member: str) -> Collection[str]:
        """The tools of the catalogue that main's spec names for this member. The kernel's own take a grant."""
        spec, kernels = self.reconciler.spec_of(team), {server.name for server in self.servers}
        named = {tool for one in spec.members if one.name == member for tool in one.tools} if spec else set[str]()
        return {tool for tool in named if tool.partition("__")[0] not in kernels}

    def _budget_of(self, team: str) -> Decimal | None:
        spec = self.reconciler.spec_of(team)
        return spec.daily_budget_usd if spec else None

    @cached_property
    def monitor(self) -> Monitor:
        return create_monitor(
            self.settings,
            self.home,
            self.database,
            self.repository,
            self.law.law,
            self.teams,
            self.gateway,
            self.watchers,
            self.now,
        )

    # --- where people come in ---

    @cached_property
    def office(self) -> Office:
        return Office(
            database=self.database,
            cluster=self.cluster,
            repository=self.repository,
            teams=self.teams,
            desk=self.desk,
            gate=self.gate,
            person=Door(self.settings.address, {"owner": self.home.key("operator")}),
            model_name=lambda: self.models.default_name,
            notice=self.reconciler.notice,
            now=self.now,
            health=self.monitor.report,
            spending=self.spending,
            law_desk=LawDesk(self.database, self.repository, self.desk, self.now),
            proposals=self.proposals,
            sandbox=lambda: self.checks.sandbox().said,
            models_left_out=lambda: self.models.left_out(self.prices),
            approver=f"person:{next(iter(self.people))}",
        )

    @cached_property
    def proposals(self) -> ProposalDesk:
        """On GitHub a person signs in as themselves: nothing is opened in their name from here."""
        proposer = HandProposer(
            self.places[2] if self.connection is None else None,
            self.gate,
            self.desk,
            self.repository,
            self.database,
            self.factory,
            self.now,
            login=next(iter(self.people)),
        )
        site = f"{self.connection.site_url}/{self.connection.repo}" if self.connection else None
        return ProposalDesk(proposer, self.desk, self.repository, self.database, site)

    # --- where people's own clients come in ---

    @cached_property
    def client_tokens(self) -> ClientTokens:
        return ClientTokens(self.home.key("gateway").encode(), lambda id_: client_tokens.is_open(self.database, id_))

    @cached_property
    def token_desk(self) -> TokenDesk:
        return TokenDesk(
            self.database, self.client_tokens, PERSON, self.settings.address, lambda: secrets.token_hex(4), self.now
        )

    @cached_property
    def talks(self) -> Talks:
        between = (PERSON, CEO_TEAM)
        return Talks(self.office.tell, self.database, between, self.office.rehearses, self.now)

    @cached_property
    def ceo_at_v1(self) -> CeoAtV1:
        return CeoAtV1(self.talks, self.database, self.now, lambda: secrets.token_hex(16))

    def _nudge(self) -> None:
        """GitHub says that something happened: fetch, and let the desk look, before their time."""
        if self.mirror is not None:
            self.mirror.nudge()
        self.waker.wake()

    @cached_property
    def app(self) -> ASGIApp:
        app = FastAPI(title="ElfAutomations", docs_url=None, redoc_url=None, openapi_url=None)
        app.include_router(self.gateway.router)
        app.mount("/api/gateway", gateway_api(self.gateway, self.catalogue, self.identity, self.now))
        app.mount("/api", office_api(self.office, self.identity, self.now, token_routes(self.token_desk)))
        if self.gateway.reception is not None:
            tools = create_ceo_server(self.office, self.talks, current_client)
            app.add_route(PATH, ceo_mcp_endpoint(tools, self.gateway.reception), methods=["GET", "POST", "DELETE"])
        if self.connection is None:
            app.mount("/forge", self.forge)
        else:
            app.mount("/github", github_hook(self.home.key(HOOK_KEY), self._nudge))
        token, open_ = self.home.key("metrics"), self.settings.metrics_open
        serve_metrics(app, self.watchers.metrics, token, self.identity, self.now, open_=open_)

        @app.get("/health")
        def health() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
            # Everybody on this machine reads this: a word for each place, and the reason at ./elf gateway servers.
            cluster = {one.where: one.word for one in self.catalogue.cluster}
            return {"status": "ok", **({"cluster": cluster} if cluster else {})}

        @app.get("/", response_class=PlainTextResponse)
        def welcome() -> str:  # pyright: ignore[reportUnusedFunction]
            return WELCOME

        hosts = [f"{host}:{self.settings.port}" for host in ("127.0.0.1", "localhost")]
        turned_away = TurnedAway(self.database, self.now, self.gateway.door.refused_rows)
        limits = {"/forge/git/": _PUSH_LIMIT, "/api/proposals": _PUSH_LIMIT, "/github/": LARGEST}
        own = OwnTokens(self.gateway.before(app), self.gateway.door.claimed, self._team_at, refused=turned_away)
        return Guard(own, hosts, limits, refused=turned_away)

    def _team_at(self, end: End, likely: str | None) -> str | None:
        return team_at(end, self.cluster.team_by_pid(), likely=likely)


def _forge_identities(home: Home) -> list[Account_]:
    rights = {"elf-devops": PROPOSER, "elf-gate": GATE, "owner": PERSON_}
    return [Account_(login, token_sha256(home.key(f"forge-{login}")), may) for login, may in rights.items()]


def _model_settings(settings: Settings) -> ModelSettings:
    return ModelSettings(
        openai_api_key=settings.openai_api_key,
        anthropic_api_key=settings.anthropic_api_key,
        base_url=settings.model_base_url,
        base_url_model=settings.model_name or "default",
        base_url_api_key=settings.model_api_key,
        price_per_million=_rate(settings),
        provider_keys=settings.provider_keys,
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


def _address_of(database: Database, team: str) -> TeamAddress | None:
    with database.read() as session:
        row = deployments.serving(session, team)
        return TeamAddress(row.address, row.inbound_token) if row and row.address else None
