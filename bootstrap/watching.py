"""Puts the health monitor together: what it looks at, whom it tells, what it counts. Nothing here decides."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from bootstrap.home import Home
from bootstrap.known_secrets import known_secrets
from bootstrap.office.describe import Teams
from bootstrap.settings import Settings
from mcp_servers.gateway.app import Gateway
from mcp_servers.gateway.identity import Identity
from mcp_servers.gateway.refusals import Refused
from mcp_servers.git.anchors import anchors
from mcp_servers.git.repository import Repository
from mcp_servers.monitor import causes, probes
from mcp_servers.monitor.alerts import Alerts, AppriseSender
from mcp_servers.monitor.metrics import CONTENT_TYPE, Metrics
from mcp_servers.monitor.monitor import Law as MonitorLaw
from mcp_servers.monitor.monitor import Monitor, World, states_of
from mcp_servers.monitor.observer import Everybody, Observer
from mcp_servers.monitor.readings import Found
from mcp_servers.monitor.redact import Redactor
from mcp_servers.monitor.traces import Traces, provider_to
from mcp_servers.resilience.load import LoadGate
from mcp_servers.resilience.queue import Queue
from memory import ledger
from memory.session import Database
from policies.law import BadLaw, Law
from policies.watch import Watch


@dataclass(frozen=True)
class Watchers:
    """What sees every call, made before the gateway is."""

    load: LoadGate
    queue: Queue
    metrics: Metrics
    traces: Traces | None

    @property
    def observer(self) -> Observer:
        return Everybody([self.metrics, self.traces]) if self.traces else self.metrics

    def close(self) -> None:
        if self.traces is not None:
            self.traces.close()


def create_watchers(settings: Settings) -> Watchers:
    """Until the monitor's first round the limits are the defaults."""
    load = LoadGate(Watch().model_calls_at_once)
    traces = Traces(provider_to(settings.otel_endpoint)) if settings.otel_endpoint else None
    queue = Queue(lambda end, seconds: metrics.waited(end, seconds))
    metrics = Metrics(lambda: load.under_way, lambda: queue.waiting)
    return Watchers(load, queue, metrics, traces)


def create_monitor(
    settings: Settings,
    home: Home,
    database: Database,
    repository: Repository,
    law: Callable[[], Law],
    teams: Teams,
    gateway: Gateway,
    watchers: Watchers,
    now: Callable[[], datetime],
) -> Monitor:
    """Raises `BadAlertUrl` for an address in ELF_ALERT_URLS that cannot be used."""

    async def quota(_watch: Watch) -> Found:
        def look() -> Found:
            with database.read() as session:
                return probes.api_quota(causes.accounts(session, law().budgets, now()))

        return await to_thread.run_sync(look)

    async def servers(_watch: Watch) -> Found:
        found = await gateway.upstreams.survey(patient=True)
        return probes.mcp_servers(len(found), {name: one.problem for name, one in found.items() if one.problem})

    def states() -> Mapping[str, tuple[str, str | None]]:
        return {team["team"]: (team["state"], team["reason"]) for team in teams.all(now())}

    async def living(_watch: Watch) -> Found:
        return await to_thread.run_sync(lambda: probes.teams(states()))

    def in_thread(look: Callable[[Watch], Found]) -> Callable[[Watch], Awaitable[Found]]:
        async def probe(watch: Watch) -> Found:
            return await to_thread.run_sync(look, watch, abandon_on_cancel=True)

        return probe

    def ledger_fault() -> str | None:
        anchored = anchors(repository)
        with database.read() as session:
            report = ledger.verify(session, anchored)
        return None if report.ok else f"row {report.first_bad}: {report.reason}"

    world = World(
        probes={
            "api_quota": quota,
            "memory": in_thread(lambda _: probes.memory()),
            "cpu": in_thread(lambda _: probes.cpu()),
            "database": in_thread(lambda watch: probes.database(database, watch.database_megabytes)),
            "docker": in_thread(lambda _: probes.docker(settings.docker_host)),
            "mcp_servers": servers,
            "network": in_thread(lambda watch: probes.network(watch.network)),
            "teams": living,
        },
        law=lambda: MonitorLaw(_watch(law), law().budgets),
        ledger_fault=ledger_fault,
        team_states=lambda: states_of(teams.all(now())),
        now=now,
        circuits=lambda: gateway.door.till.circuits.alone(now()),
        noticed=lambda: gateway.door.till.noticed.causes(now()),
        quarantined=lambda: {
            server: [f"{it.tool} {it.why}" for it in tools] for server, tools in gateway.upstreams.quarantined().items()
        },
        hammering=lambda: gateway.door.refused_rows.hammering(now()),
    )
    sender = AppriseSender(settings.alert_urls) if settings.alert_urls else None
    alerts = Alerts(database, sender, Redactor(lambda: known_secrets(settings, home).values()), settings.address)
    return Monitor(database, world, alerts, watchers.load, watchers.metrics, watchers.queue)


def serve_metrics(
    app: FastAPI, metrics: Metrics, token: str, identity: Identity, now: Callable[[], datetime], *, open_: bool
) -> None:
    """`/metrics`, for the metrics' own `token`, which opens nothing else, and for the person.

    `open_` lets everybody on this machine read it (ELF_METRICS_OPEN=1).
    """
    expected = f"Bearer {token}".encode()

    @app.get("/metrics")
    def page(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        given = request.headers.get("authorization")
        if not open_ and not hmac.compare_digest((given or "").encode(), expected):
            try:
                if identity.identify(given, now()).kind != "person":
                    return JSONResponse({"error": "Metrics are for the token in keys/metrics of the home."}, 403)
            except Refused as refused:
                return JSONResponse({"error": refused.message}, 401)
        return Response(metrics.page(), media_type=CONTENT_TYPE)


def _watch(law: Callable[[], Law]) -> Watch:
    try:
        return law().watch
    except BadLaw:
        return Watch()
