"""The life of three changes: a team is proposed, approved, merged and deployed; a change makes it ill; it is rolled back.

Each process tells the story from whatever it finds, and may be killed at any point of it. The forge, the disk and the database
outlive it; the teams' processes do not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from mcp_servers.cluster.port import Log, Running
from mcp_servers.cluster.reconciler import Reconciler
from mcp_servers.git.anchors import anchor
from mcp_servers.git.changes import Proposal
from mcp_servers.git.rebase import Rebase
from memory import changes, deployments, ledger
from memory.session import Database
from memory.tables import IncidentRow
from teams.runtime.deployment import Deployment
from teams.spec import Member
from tests.git.desk_world import OWNER, START, Clock, World, team_files
from tests.killing.points import Points, install

TEAM, FOLDER, SICK = "marketing-team", "teams/marketing_team", "auto/change-team/sick"
ROUNDS = 40


@dataclass(frozen=True)
class Life:
    """One process of the story. `attempt` counts the processes before it; what it passed is written to `report` at its end."""

    root: str
    port: int
    database: str
    home: str
    report: str
    attempt: int = 0
    kill_at: int | None = None
    naive: bool = False


def live(life: Life) -> None:
    """Tells the story to its end, or to the kill point."""
    points = Points(life.kill_at)
    install(points)
    clock = Clock(START + timedelta(hours=life.attempt))
    world = World(Path(life.root), life.port, Database(life.database), clock)
    if life.naive:
        tell_naively(world, life.attempt)
    else:
        asyncio.run(_tell(world, points, Path(life.home)))
    Path(life.report).write_text(json.dumps(points.passed))


@dataclass
class Cluster:
    """Processes that live as long as whoever started them. A team whose spec names the model `local/sick` is never healthy."""

    points: Points
    started: dict[str, tuple[Running, bool]] = field(default_factory=dict[str, tuple[Running, bool]])

    async def start(self, deployment: Deployment) -> Running:
        sick = "local/sick" in (deployment.folder / "team.yaml").read_text()
        running = Running(
            deployment.deployment_id, deployment.team, f"http://{deployment.deployment_id}.invalid", "pid 1"
        )
        with self.points.around("start of a team"):
            self.started[deployment.deployment_id] = running, sick
        return running

    async def stop(self, deployment_id: str) -> None:
        with self.points.around("end of a team"):
            self.started.pop(deployment_id, None)

    def running(self) -> Mapping[str, Running]:
        return {name: running for name, (running, _) in self.started.items()}

    def ending(self, deployment_id: str) -> str | None:
        return None

    def log(self, team: str, lines: int) -> Log:
        return Log((), ())

    async def close(self) -> None:
        self.started.clear()

    def answer(self, request: httpx.Request) -> httpx.Response:
        """A team's health."""
        sick = self.started[request.url.host.removesuffix(".invalid")][1]
        return httpx.Response(
            503 if sick else 200, json={"status": "failing" if sick else "ok", "reason": "no such model"}
        )


async def _tell(world: World, points: Points, home: Path) -> None:
    cluster = Cluster(points)
    reconciler = Reconciler(
        repository=world.repository,
        database=world.database,
        cluster=cluster,
        home=home,
        gateway_url="http://gateway.invalid",
        issue_token=_token,
        report_incident=_heard,
        now=world.clock,
        client=httpx.AsyncClient(transport=httpx.MockTransport(cluster.answer)),
    )
    rebase = Rebase(
        world.changes("elf-devops"), world.desk, world.repository, world.database, world.factory, world.clock
    )
    world.propose()
    for _ in range(ROUNDS):
        world.proposer.resume(timedelta(0))
        world.desk.tick()
        _approve_what_wants_it(world)
        rebase.next()
        await reconciler.tick()
        _make_it_ill(world, points)
        _roll_back_what_is_ill(world)
        _anchor(world)
        if _over(world, cluster):
            return
        world.clock.tick(seconds=5)
    raise AssertionError(f"the story does not end: {account(world)}")


def _token(team: str, member: Member, deployment: str, now: datetime, lifetime: timedelta) -> str:
    return f"{team}/{member.name}"


async def _heard(incident: IncidentRow) -> None:
    """The DevOps team looks by itself."""


def _approve_what_wants_it(world: World) -> None:
    """A person approves what they are asked to, when they look."""
    for change in world.gate.open():
        with world.database.read() as session:
            judged = changes.last_verdict(session, change.number)
        if judged is not None and judged.outcome == "needs_approval":
            world.desk.approve(change.number, OWNER, change.head)


def _serving(world: World) -> str | None:
    with world.database.read() as session:
        row = deployments.serving(session, TEAM)
    return row.tree if row is not None else None


def _make_it_ill(world: World, points: Points) -> None:
    """Once the team is healthy somebody proposes what the gate cannot fault and what makes it ill."""
    with points.not_ours():
        known = world.gate.all()
        if _serving(world) is None or any(change.branch == SICK for change in known):
            return
        proposal = Proposal(
            branch=SICK,
            title="Another model",
            body="",
            labels=(),
            files=dict(team_files(TEAM, model="local/sick")),
            message="Another model\n",
        )
        world.changes("elf-devops").propose(proposal)


def _roll_back_what_is_ill(world: World) -> None:
    with world.database.read() as session:
        ill = [(row.team, row.tree) for row in deployments.open_incidents(session)]
    for team, tree in ill:
        world.proposer.propose_rollback(team, "it has no model", f"incident-{tree}", "devops/reliability-engineer")


def _anchor(world: World) -> None:
    with world.database.read() as session:
        head = ledger.head(session)
    anchor(world.repository, head, world.clock())


def _over(world: World, cluster: Cluster) -> bool:
    states = [change.state for change in world.gate.all()]
    with world.database.read() as session:
        calm = not deployments.open_incidents(session)
        row = deployments.serving(session, TEAM)
    return (
        states == ["merged"] * 3
        and calm
        and row is not None
        and row.tree == world.repository.tree("main", FOLDER)
        and [name for name, running in cluster.running().items() if running.team == TEAM] == [row.id]
    )


def tell_naively(world: World, attempt: int) -> None:
    """The first change as it is often written: act, then write down; after a kill begin again with what is written down."""
    with world.database.read() as session:
        known = changes.intent(session, "naive")
    bot, number = world.changes("elf-devops"), known.number if known else None
    if number is None:
        made = bot.propose(Proposal(f"auto/new-team/naive-{attempt}", "A team", "", (), dict(team_files()), "A team\n"))
        number = made.number
        wanted = changes.Intent("naive", "new_team", TEAM, OWNER, None, "", "", made.branch, {}, world.clock(), number)
        with world.database.begin() as session:
            changes.record_intent(session, wanted)
    change = world.gate.get(number)
    if change.state != "open":
        return
    world.changes("owner").approve(number, change.head)
    commit = world.gate.merge(number, change.head, "A team")
    with world.database.begin() as session:
        end = changes.End(number, "merged", "new_team", change.head, commit, FOLDER, None, world.clock())
        changes.record_end(session, end)


def account(world: World) -> dict[str, Any]:
    """What is left of the story, without what may differ between two ways of telling it (times, hashes of commits, restarts)."""
    from collections import Counter

    from sqlalchemy import select

    from memory.change_tables import ChangeEndRow, IntentRow, SlotRow
    from memory.tables import AuditRow, DeploymentRow

    once = {
        "change.intend", "change.propose", "change.approve", "change.merge", "incident.open", "incident.close", "change.withdraw",
        "change.rebase", "change.close",
    }  # fmt: skip
    with world.database.read() as session:
        audit = ledger.verify(session)
        rows = session.scalars(select(AuditRow).order_by(AuditRow.seq))
        acts = Counter(f"{row.action} {row.subject} {row.outcome}" for row in rows if row.action in once)
        judged = {row.subject for row in session.scalars(select(AuditRow).where(AuditRow.action == "change.judge"))}
        found = {
            "ledger holds": audit.ok,
            "acts": dict(
                sorted((act.split(" ")[0] + " " + act.split(" ")[2] + f" x{n}", n) for act, n in acts.items())
            ),
            "number of acts": sorted(f"{act.split(' ')[0]}={n}" for act, n in acts.items()),
            "judged": len(judged),
            "intents": sorted((row.kind, row.number) for row in session.scalars(select(IntentRow))),
            "ends": sorted((row.number, row.end, row.kind) for row in session.scalars(select(ChangeEndRow))),
            "slots": sorted((row.state, row.number) for row in session.scalars(select(SlotRow))),
            "open deployments": sum(1 for row in session.scalars(select(DeploymentRow)) if row.ended_at is None),
            "open incidents": len(deployments.open_incidents(session)),
        }
    pulls = world.gate.all()
    found |= {
        "pull requests": [(change.number, change.title, change.state) for change in pulls],
        "gate comments": [sum(one.author == "elf-gate" for one in world.gate.comments(it.number)) for it in pulls],
        "approvals": [sum(one.verdict == "approved" for one in world.gate.reviews(it.number)) for it in pulls],
        "merges": len(world.repository.log("main", limit=50, first_parent=True)),
        "main": world.repository.tree("main"),
        "branches": sorted(world.repository.refs("refs/heads/")),
    }
    return found
