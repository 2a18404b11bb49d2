"""Makes what runs equal to what main says: load the facts, let `plan` decide, act, write down what happened.

It can be stopped at any line and started again: everything it knows is in Git, in the database and in the cluster. Notices only make
it quicker; a tick finds what they miss.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
import httpx

from mcp_servers.cluster.directory import MAIN, Directory, read_directory
from mcp_servers.cluster.plan import (
    TOKEN_LIFETIME,
    Action,
    Health,
    Incident,
    MarkCrashed,
    MarkHealthy,
    Observed,
    Renew,
    Start,
    Stop,
    plan,
)
from mcp_servers.cluster.port import Cluster, ClusterError
from mcp_servers.cluster.records import Records
from mcp_servers.cluster.renewal import NotRenewed, RenewalLog, bring_tokens
from mcp_servers.cluster.telling import tell_reports, told_dir
from mcp_servers.git.repository import Repository
from memory import changes, deployments
from memory.registry import Registered
from memory.session import Database
from memory.tables import DeploymentRow, IncidentRow
from teams.runtime.deployment import Deployment
from teams.spec import Member, TeamSpec

HEALTH_TIMEOUT_S = 2.0
BUSY_TICK_S, IDLE_TICK_S = 0.05, 1.0
#: An open incident is brought to the DevOps team again after this.
NUDGE_AGAIN = timedelta(seconds=30)

log = logging.getLogger(__name__)
T = TypeVar("T")

#: (team, member, deployment id, now, lifetime) -> the member's token.
IssueToken = Callable[[str, Member, str, datetime, timedelta], str]
#: Tells the DevOps team of an open incident.
ReportIncident = Callable[[IncidentRow], Awaitable[None]]


@dataclass
class Look:
    """What a health check found last, and since when."""

    health: Health
    reason: str
    since: datetime
    #: How the process is shut in, in its own words; None until it said.
    confinement: str | None = None


@dataclass(frozen=True)
class _Facts:
    observed: list[Observed]
    verified: list[str]


@dataclass
class Reconciler:
    repository: Repository
    database: Database
    cluster: Cluster
    home: Path
    gateway_url: str
    issue_token: IssueToken
    report_incident: ReportIncident
    now: Callable[[], datetime]
    client: httpx.AsyncClient
    token_lifetime: timedelta = TOKEN_LIFETIME
    _tokens: RenewalLog = field(default_factory=RenewalLog)
    _looks: dict[str, Look] = field(default_factory=dict[str, Look])
    _directory: Directory | None = None
    _nudged: dict[int, datetime] = field(default_factory=dict[int, datetime])
    _nudges: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _notice: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._records = Records(self.database, self.now)

    async def run(self) -> None:
        """Ticks until cancelled: often while something is under way, else once a second or on notice."""
        while True:
            try:
                busy = await self.tick()
            except Exception:
                # This loop is what repairs everything else, so it goes on; the log says what stopped this round.
                log.exception("the reconciler's round failed; it tries again")
                busy = False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._notice.wait(), BUSY_TICK_S if busy else IDLE_TICK_S)
            self._notice.clear()

    def notice(self) -> None:
        """Something happened that a round would find: have it now."""
        self._notice.set()

    def spec_of(self, team: str) -> TeamSpec | None:
        """What main says of a team, as last read; None for one that main does not have."""
        teams = self._directory.teams if self._directory else ()
        return next((one.spec for one in teams if one.spec.name == team), None)

    def look_of(self, deployment_id: str) -> Look | None:
        """The last health check of a deployment, if there was one."""
        return self._looks.get(deployment_id)

    async def tick(self) -> bool:
        """One round over every team. True if something is under way and the next round should come soon."""
        directory = await self._read_main()
        await asyncio.gather(*(self._check(id_, running.address) for id_, running in self.cluster.running().items()))
        desired = {team.spec.name: team.tree for team in directory.teams}
        busy = False
        for team, facts in (await _in_thread(lambda: self._load(directory))).items():
            actions = plan(desired.get(team), facts.observed, facts.verified, self.now(), self.token_lifetime)
            for action in actions:
                await self._act(team, facts, action)
            starting = any(one.ended_at is None and one.healthy_at is None for one in facts.observed)
            busy = busy or starting or any(not isinstance(action, Incident | Renew) for action in actions)
        await self._tend_incidents(desired)
        return busy

    # --- load ---

    async def _read_main(self) -> Directory:
        commit = await _in_thread(lambda: self.repository.resolve(MAIN))
        if self._directory is None or self._directory.commit != commit:
            directory = await _in_thread(lambda: read_directory(self.repository, commit))
            await _in_thread(lambda: self._records.project(directory))
            await _in_thread(lambda: tell_reports(self.home, directory.teams))
            self._directory = directory
        return self._directory

    async def _check(self, deployment_id: str, address: str) -> None:
        health, reason, confinement = await self._ask_health(address)
        last = self._looks.get(deployment_id)
        since = last.since if last and last.health == health else self.now()
        self._looks[deployment_id] = Look(health, reason, since, confinement or (last.confinement if last else None))

    async def _ask_health(self, address: str) -> tuple[Health, str, str | None]:
        try:
            response = await self.client.get(f"{address}/health", timeout=HEALTH_TIMEOUT_S)
            body = response.json()
            status, reason = str(body["status"]), str(body.get("reason") or "")
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            return "unreachable", f"{type(error).__name__}: {error}", None
        confinement = body.get("confinement")
        if response.status_code == 200 and status == "ok":
            return "ok", "", confinement
        return ("failing" if status == "failing" else "starting"), reason, confinement

    def _load(self, directory: Directory) -> dict[str, _Facts]:
        """Facts of every team of main, and of every team that still has a deployment."""
        paths = {team.spec.name: team.path for team in directory.teams}
        with self.database.read() as session:
            names = {*paths, *(row.team for row in deployments.open_rows(session))}
            return {
                name: _Facts(
                    observed=[self._observe(row) for row in deployments.recent(session, name)],
                    verified=[one.tree for one in changes.verified_trees(session, paths[name])]
                    if name in paths
                    else [],
                )
                for name in sorted(names)
            }

    def _observe(self, row: DeploymentRow) -> Observed:
        look = self._looks.get(row.id) or Look("starting", "", row.started_at)
        return Observed(
            deployment_id=row.id,
            tree=row.tree,
            started_at=row.started_at,
            healthy_at=row.healthy_at,
            ended_at=row.ended_at,
            ended_as=row.ended_as,
            alive=row.id in self.cluster.running(),
            health=look.health,
            health_since=look.since,
            reason=row.reason or look.reason,
            tokens_at=self._tokens.issued_at(row.id),
            renewal_failed=self._tokens.is_failing(row.id),
        )

    # --- act ---

    async def _act(self, team: str, facts: _Facts, action: Action) -> None:
        match action:
            case Start(tree):
                await self._start(team, tree)
            case Stop(deployment_id, reason, ended_as):
                # Written first: from then on the gateway refuses its tokens and sends it nothing.
                await _in_thread(lambda: self._records.ended(deployment_id, ended_as, reason))
                await self.cluster.stop(deployment_id)
                self._forget(deployment_id)
            case MarkHealthy(deployment_id):
                faults = [one for one in facts.observed[-2:] if one.ended_as in {"crashed", "failed"}]
                await _in_thread(lambda: self._records.healthy(deployment_id, after_a_fault=bool(faults)))
            case MarkCrashed(deployment_id):
                how = self.cluster.ending(deployment_id)
                ended_as, reason = ("crashed", how) if how else ("stopped", "the kernel that started it has ended")
                await _in_thread(lambda: self._records.ended(deployment_id, ended_as, reason))
                self._forget(deployment_id)
            case Renew(deployment_id):
                await self._renew(team, deployment_id)
            case Incident(tree, reason):
                await _in_thread(lambda: self._records.incident(team, tree, reason))

    async def _start(self, team: str, tree: str) -> None:
        found = await _in_thread(lambda: self._find(team, tree))
        if found is None:
            log.error("team %s: the tree %s is in no known commit, so it cannot be started", team, tree)
            return
        now, inbound = self.now(), secrets.token_urlsafe(32)
        deployment = self._deployment(found, hashlib.sha256(inbound.encode()).hexdigest(), now)
        self._tokens.issued(deployment.deployment_id, now)
        await _in_thread(lambda: self._export(found, Path(deployment.source)))
        row = DeploymentRow(
            id=deployment.deployment_id,
            team=team,
            tree=tree,
            commit=found.commit,
            started_at=now,
            inbound_token=inbound,
        )
        # The row is there before the process, so its tokens count from its first moment; after a kill in between, the next
        # round finds a row whose process does not live and ends it.
        await _in_thread(lambda: self._records.started(row))
        try:
            running = await self.cluster.start(deployment)
        except ClusterError as error:
            reason = str(error)
            await _in_thread(lambda: self._records.ended(deployment.deployment_id, "stopped", reason))
            log.warning("team %s could not be started: %s", team, reason)
            return
        await _in_thread(lambda: self._records.address(deployment.deployment_id, running.address))

    async def _renew(self, team: str, deployment_id: str) -> None:
        """New tokens for a team that runs. A failure is tried again; near the tokens' end the plan replaces the deployment."""
        now, running = self.now(), self.cluster.running().get(deployment_id)
        if running is None or not self._tokens.may_try(deployment_id, now):
            return
        row = await _in_thread(lambda: self._records.open_deployment(deployment_id))
        found = await _in_thread(lambda: self._find(team, row.tree)) if row else None
        if row is None or found is None:
            return
        try:
            await bring_tokens(self.client, running.address, row.inbound_token, self._issue(found, deployment_id, now))
        except NotRenewed as error:
            self._tokens.failed(deployment_id, now)
            log.warning("the tokens of %s could not be renewed: %s; it is tried again", deployment_id, error)
            return
        self._tokens.issued(deployment_id, now)
        await _in_thread(lambda: self._records.tokens_renewed(deployment_id, now + self.token_lifetime))

    def _issue(self, found: Registered, deployment_id: str, now: datetime) -> dict[str, str]:
        team, lifetime = found.spec.name, self.token_lifetime
        return {
            member.name: self.issue_token(team, member, deployment_id, now, lifetime) for member in found.spec.members
        }

    def _forget(self, deployment_id: str) -> None:
        self._looks.pop(deployment_id, None)
        self._tokens.forget(deployment_id)

    def _deployment(self, found: Registered, inbound_token_sha256: str, now: datetime) -> Deployment:
        team = found.spec.name
        deployment_id = f"{team}-{secrets.token_hex(6)}"
        return Deployment(
            deployment_id=deployment_id,
            team=team,
            tree=found.tree,
            package=f"{found.zone}.{found.spec.folder}",
            source=str(self.home / "deploy" / found.tree),
            gateway_url=self.gateway_url,
            member_tokens=self._issue(found, deployment_id, now),
            inbound_token_sha256=inbound_token_sha256,
            work_dir=str(self.home / "teams" / team / "work"),
            told_dir=str(told_dir(self.home, team)),
        )

    def _find(self, team: str, tree: str) -> Registered | None:
        """This tree of the team, in main or in the commit it was verified in."""
        directories = [self._directory] if self._directory else []
        paths = [one.path for directory in directories for one in directory.teams if one.spec.name == team]
        with self.database.read() as session:
            verified = [one for path in paths for one in changes.verified_trees(session, path)]
        commits = [one.commit for one in verified if one.tree == tree]
        directories += [read_directory(self.repository, commit) for commit in commits[:1]]
        for directory in directories:
            for one in directory.teams:
                if one.spec.name == team and one.tree == tree:
                    return one
        return None

    def _export(self, found: Registered, source: Path) -> None:
        """The tree's files under `source`; a folder is complete once it has its final name."""
        if source.exists():
            return
        source.parent.mkdir(parents=True, exist_ok=True)
        scratch = source.with_name(f"{source.name}.{secrets.token_hex(4)}")
        self.repository.export(found.commit, found.path, scratch / found.path)
        try:
            scratch.rename(source)
        except OSError:
            if not source.exists():
                raise

    # --- incidents ---

    async def _tend_incidents(self, desired: dict[str, str]) -> None:
        """Closes what main has left behind; brings the rest to the DevOps team, again and again until main moves."""
        for incident in await _in_thread(lambda: self._records.close_incidents(desired)):
            last = self._nudged.get(incident.id)
            if last is not None and self.now() - last < NUDGE_AGAIN:
                continue
            self._nudged[incident.id] = self.now()
            nudge = asyncio.create_task(self._nudge(incident))
            self._nudges.add(nudge)
            nudge.add_done_callback(self._nudges.discard)

    async def _nudge(self, incident: IncidentRow) -> None:
        try:
            await self.report_incident(incident)
        except Exception:
            log.exception("the DevOps team could not be told that %s is ill; it is told again", incident.team)


async def _in_thread(call: Callable[[], T]) -> T:
    """Git and the database wait; the event loop does not."""
    return await anyio.to_thread.run_sync(call)
