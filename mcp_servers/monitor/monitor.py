"""The health monitor: looks at everything, writes it down, sheds load when it must, tells people. It heals nothing itself."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import anyio
from anyio import to_thread

from mcp_servers.gateway.refused_rows import Hammering
from mcp_servers.monitor import causes
from mcp_servers.monitor.alerts import Alerts
from mcp_servers.monitor.metrics import Metrics
from mcp_servers.monitor.readings import REMEDIES, UNITS, Found, Level, Streak, level_of, reading, settle, worst
from mcp_servers.resilience.load import LoadGate
from mcp_servers.resilience.queue import Queue
from memory import watching
from memory.session import Database
from memory.watching import Cause, Reading
from policies.budgets import Budgets
from policies.watch import Resource, Watch

PROBE_S = 10.0
#: A level that does not change is written down this often.
WRITTEN_EVERY = timedelta(minutes=10)
#: How much history a report shows.
REPORTED_CHANGES = 20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Law:
    """The parts of the law that a round needs."""

    watch: Watch
    budgets: Budgets


@dataclass(frozen=True)
class World:
    """What the monitor looks at, given by the composition root."""

    #: One look at each resource. May take a while, may raise.
    probes: Mapping[Resource, Callable[[Watch], Awaitable[Found]]]
    law: Callable[[], Law]
    #: Recomputes the ledger; why it does not hold, or None. Blocks.
    ledger_fault: Callable[[], str | None]
    #: Living teams by their state in one word. Blocks.
    team_states: Callable[[], Mapping[str, int]]
    now: Callable[[], datetime]
    #: Links of model chains that are left alone: name -> failures in a row, and when it is tried again.
    circuits: Callable[[], Mapping[str, tuple[int, datetime]]] = dict[str, tuple[int, datetime]]
    #: What passed the gateway that a person should hear of.
    noticed: Callable[[], Sequence[Cause]] = list[Cause]
    #: Tool servers of which tools that main admits are in quarantine: name -> what is wrong with each.
    quarantined: Callable[[], Mapping[str, Sequence[str]]] = dict[str, Sequence[str]]
    #: Callers that are refused over and over.
    hammering: Callable[[], Mapping[str, Hammering]] = dict[str, Hammering]


@dataclass
class Monitor:
    database: Database
    world: World
    alerts: Alerts
    load: LoadGate
    metrics: Metrics
    queue: Queue = field(default_factory=Queue)
    probe_seconds: float = PROBE_S
    _streaks: dict[Resource, Streak] = field(default_factory=dict[Resource, Streak])
    _readings: tuple[Reading, ...] = ()
    _looked_at: datetime | None = None
    _ledger_at: datetime | None = None
    _ledger_fault: str | None = None

    async def round(self) -> None:
        """One look at everything, and what follows from it."""
        law, now = await to_thread.run_sync(self.world.law), self.world.now()
        found = await self._look(law.watch)
        self._readings, self._looked_at = self._settled(found, law.watch), now
        self._press(self._readings, law.watch)
        await self._verify(law.watch, now)
        told = await to_thread.run_sync(self._causes, law, now)
        await self.alerts.tell(told, law.watch.alerts, now)
        states = await to_thread.run_sync(self.world.team_states)
        circuits = len(self.world.circuits())
        self.metrics.watched(self._readings, states, circuits, len(told), self._ledger_fault is None)

    async def every(self) -> float:
        """Seconds until the next round."""
        return float((await to_thread.run_sync(self.world.law)).watch.every_seconds)

    async def _look(self, watch: Watch) -> dict[Resource, Found]:
        found: dict[Resource, Found] = {}

        async def one(resource: Resource, probe: Callable[[Watch], Awaitable[Found]]) -> None:
            try:
                with anyio.fail_after(self.probe_seconds):
                    found[resource] = await probe(watch)
            except TimeoutError:
                found[resource] = Found(None, f"no answer in {self.probe_seconds:g} s", broken=True)
            except Exception as error:  # noqa: BLE001 - what cannot be looked at is a reading, not the end of the round
                found[resource] = Found(None, f"cannot be looked at: {type(error).__name__}", broken=True)

        async with anyio.create_task_group() as group:
            for resource, probe in self.world.probes.items():
                group.start_soon(one, resource, probe)
        return found

    def _settled(self, found: Mapping[Resource, Found], watch: Watch) -> tuple[Reading, ...]:
        readings: list[Reading] = []
        for resource in UNITS:
            if resource not in found:
                continue
            marks = watch.marks.of(resource)
            streak = settle(self._streaks.get(resource, Streak()), level_of(found[resource], marks), marks)
            self._streaks[resource] = streak
            readings.append(reading(resource, streak.level, found[resource]))
        return tuple(readings)

    def _press(self, readings: Sequence[Reading], watch: Watch) -> None:
        """Memory at critical is the one reading that has the gateway refuse new model calls."""
        self.load.most, self.load.come_again = watch.model_calls_at_once, timedelta(seconds=watch.come_again_seconds)
        memory = next((one for one in readings if one.resource == "memory"), None)
        critical = memory is not None and memory.level == Level.CRITICAL
        pressed = f"This machine is out of memory ({memory.text})" if memory is not None and critical else None
        if bool(pressed) != bool(self.load.pressed):
            log.warning("%s", f"{pressed}: new model calls are refused" if pressed else "memory is back: calls pass")
        self.load.pressed = pressed

    async def _verify(self, watch: Watch, now: datetime) -> None:
        if self._ledger_at is not None and now - self._ledger_at < timedelta(minutes=watch.ledger_every_minutes):
            return
        self._ledger_fault = await to_thread.run_sync(self.world.ledger_fault)
        self._ledger_at = now

    def _causes(self, law: Law, now: datetime) -> list[Cause]:
        with self.database.begin() as session:
            watching.note_readings(session, self._readings, now, WRITTEN_EVERY)
        with self.database.read() as session:
            accounts = causes.accounts(session, law.budgets, now)
            held_after = timedelta(minutes=law.watch.alerts.held_after_minutes)
            return [
                *causes.of_ledger(self._ledger_fault),
                *causes.of_readings(self._readings),
                *causes.of_circuits(self.world.circuits()),
                *self.world.noticed(),
                *causes.of_quarantine(self.world.quarantined()),
                *causes.of_refusals(self.world.hammering()),
                *causes.of_incidents(causes.incidents(session), held_after, now),
                *causes.of_budgets(accounts, law.budgets.warn_at_percent, f"{now:%Y-%m-%d}"),
                *causes.waiting_for_people(session),
            ]

    def report(self) -> dict[str, Any]:
        """How everything is, for people and their tools: `{level, looked_at, resources, alerts, changes, …}`. Blocking."""
        now = self.world.now()
        with self.database.read() as session:
            standing = watching.standing(session)
            changes = watching.changes_of_level(session, REPORTED_CHANGES)
        levels = [Level(one.level) for one in self._readings]
        return {
            "level": worst(levels).value if levels else "starting",
            "looked_at": self._looked_at.isoformat() if self._looked_at else None,
            "resources": [_described(one) for one in self._readings],
            "refusing_model_calls": self.load.pressed,
            "model_calls_under_way": self.load.under_way,
            "model_calls_refused_for_load": self.load.refused,
            "calls_waiting": self.queue.lines(),
            "links_left_alone": {
                # None: at the next call.
                link: {"failures": failures, "tried_again_at": at.isoformat() if at > now else None}
                for link, (failures, at) in sorted(self.world.circuits().items())
            },
            "ledger": self._ledger_fault or ("not looked at yet" if self._ledger_at is None else "holds"),
            "alert_addresses": self.alerts.reaches,
            "alerts": [
                {
                    "cause": one.cause,
                    "level": one.level,
                    "title": one.title,
                    "text": one.text,
                    "since": one.since.isoformat(),
                    "told_at": one.told_at.isoformat() if one.told_at else None,
                    "outcome": one.outcome
                    or ("nobody to tell: ELF_ALERT_URLS is not set" if not self.alerts.reaches else None),
                }
                for one in standing
            ],
            "changes": [
                {"at": one.at.isoformat(), "resource": one.resource, "level": one.level, "text": one.text}
                for one in changes
            ],
        }


def states_of(teams: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Teams as the office describes them -> how many are in which state."""
    return Counter(str(team["state"]) for team in teams)


def _described(one: Reading) -> dict[str, Any]:
    resource: Resource = one.resource  # pyright: ignore[reportAssignmentType] - one of the eight
    bad = one.level in {Level.WARNING, Level.CRITICAL}
    return {
        "resource": one.resource,
        "level": one.level,
        "value": one.value,
        "unit": UNITS[resource],
        "text": one.text,
        "remedy": REMEDIES[resource] if bad else None,
    }
