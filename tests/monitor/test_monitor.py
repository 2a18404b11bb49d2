"""The health monitor's round: looks, writes down, sheds load, tells; and goes on whatever one resource does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mcp_servers.gateway.noticed import Noticed
from mcp_servers.monitor.alerts import Alerts
from mcp_servers.monitor.metrics import Metrics
from mcp_servers.monitor.monitor import Law, Monitor, World
from mcp_servers.monitor.readings import UNITS, Found
from mcp_servers.monitor.redact import Redactor
from mcp_servers.monitor.telling import Message
from mcp_servers.resilience.load import LoadGate, Overloaded
from memory import deployments, watching
from memory.change_tables import ChangeEndRow, VerdictRow
from memory.gateway_tables import BudgetRow
from memory.session import Database
from policies.budgets import Budgets
from policies.watch import Resource, Watch
from tests.monitor.world import NOW


@dataclass
class Company:
    """What the monitor is shown; tests change it."""

    database: Database
    now: datetime = NOW
    found: dict[Resource, Found] = field(default_factory=lambda: {one: Found(0, "fine") for one in UNITS})
    budgets: Budgets = field(default_factory=lambda: Budgets(company_usd_day=100))
    ledger: str | None = None
    said: list[Message] = field(default_factory=list[Message])
    addresses: int = 1

    def send(self, text: Message) -> int:
        self.said.append(text)
        return 1

    def monitor(self, probes: Mapping[Resource, Callable[[Watch], Awaitable[Found]]] | None = None) -> Monitor:
        def look(resource: Resource) -> Callable[[Watch], Awaitable[Found]]:
            async def probe(_watch: Watch) -> Found:
                return self.found[resource]

            return probe

        world = World(
            probes={**{one: look(one) for one in UNITS}, **(probes or {})},
            law=lambda: Law(Watch(), self.budgets),
            ledger_fault=lambda: self.ledger,
            team_states=lambda: {"active": 2},
            now=lambda: self.now,
        )
        alerts = Alerts(self.database, self, Redactor(list), "http://127.0.0.1:7070")
        return Monitor(self.database, world, alerts, LoadGate(), Metrics(), probe_seconds=0.2)

    async def rounds(self, monitor: Monitor, count: int = 1) -> dict[str, Any]:
        for _ in range(count):
            await monitor.round()
            self.now += timedelta(seconds=15)
        return monitor.report()


@pytest.fixture
def company(database: Database) -> Company:
    return Company(database)


@pytest.mark.rows("F57")
async def test_a_healthy_company_is_reported_and_nobody_is_told(company: Company) -> None:
    report = await company.rounds(company.monitor(), 3)
    assert report["level"] == "ok"
    assert [one["resource"] for one in report["resources"]] == list(UNITS)
    assert (report["ledger"], report["alerts"], company.said) == ("holds", [], [])
    assert len(report["changes"]) == 8, "what does not change is not written again"


@pytest.mark.rows("F53", "F57")
async def test_what_cannot_be_looked_at_is_critical_and_the_others_are_looked_at(company: Company) -> None:
    async def hangs(_watch: Watch) -> Found:
        await asyncio.sleep(30)
        return Found(0, "late")

    async def breaks(_watch: Watch) -> Found:
        raise OSError("the socket is gone")

    report = await company.rounds(company.monitor({"mcp_servers": hangs, "docker": breaks}), 2)
    levels = {one["resource"]: (one["level"], one["text"]) for one in report["resources"]}
    assert levels["mcp_servers"] == ("critical", "no answer in 0.2 s")
    assert levels["docker"] == ("critical", "cannot be looked at: OSError")
    assert levels["memory"][0] == "ok"
    assert len(company.said) == 2, "docker at once, the servers after two looks"


@pytest.mark.rows("F54", "F57")
async def test_memory_at_critical_refuses_new_model_calls_until_it_is_back(company: Company) -> None:
    monitor = company.monitor()
    company.found["memory"] = Found(97, "97 % of 8000 MB in use")
    await company.rounds(monitor)
    monitor.load.check(company.now)
    report = await company.rounds(monitor)
    with pytest.raises(Overloaded, match="out of memory"):
        monitor.load.check(company.now)
    assert "97 %" in report["refusing_model_calls"]
    company.found["memory"] = Found(50, "50 %")
    await company.rounds(monitor)
    monitor.load.check(company.now)


@pytest.mark.rows("F57", "F100")
async def test_people_are_told_of_incidents_changes_budgets_and_the_ledger(company: Company) -> None:
    monitor = company.monitor()
    verdict = {"base": "b" * 40, "policy_tree": "c" * 40, "kind": "new_team", "verdict": {}, "at": NOW}
    with company.database.begin() as session:
        deployments.open_incident(session, "legal-team", "a" * 40, "its import fails", NOW)
        for number, outcome in ((7, "needs_approval"), (8, "needs_approval"), (8, "allow"), (9, "needs_approval")):
            session.add(VerdictRow(number=number, head="d" * 40, outcome=outcome, **verdict))
        session.add(ChangeEndRow(number=9, end="closed", kind="new_team", head="d" * 40, at=NOW))
        session.add(BudgetRow(scope="company", day="2026-11-20", committed_usd_micro=85_000_000))
    await company.rounds(monitor, 2)
    assert len(company.said) == 1
    told = company.said[0].body
    for word in ("legal-team is ill", "its import fails", "Change #7 waits", "Budget of company today: 80 % reached"):
        assert word in told
    assert "#8" not in told and "#9" not in told
    company.ledger = "row 12: it does not follow from the row before it"
    with company.database.begin() as session:
        session.get_one(BudgetRow, ("company", "2026-11-20")).committed_usd_micro = 100_000_000
    company.now += timedelta(hours=1)
    await company.rounds(monitor)
    told = company.said[1].body
    for word in ("The ledger does not hold", "row 12", "Budget of company today: spent", "legal-team needs a person"):
        assert word in told
    assert "Change #7" not in told, "that was told an hour ago"


@pytest.mark.rows("F57")
async def test_a_restarted_monitor_knows_what_was_told_and_the_rows_stay_bounded(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "READINGS_KEPT", 20)
    company.found["teams"] = Found(4, "four are ill")
    await company.rounds(company.monitor())
    report = await company.rounds(company.monitor())
    assert len(company.said) == 1
    assert report["alerts"][0]["outcome"] == "sent to 1 of 1"
    for number in range(20):
        company.found["docker"] = Found(number % 2, "to and fro")
        await company.rounds(company.monitor())
    with company.database.read() as session:
        assert len(watching.changes_of_level(session, 1000)) <= 20


async def test_the_metrics_show_the_round(company: Company) -> None:
    company.found["cpu"] = replace(company.found["cpu"], value=None)
    monitor = company.monitor()
    await company.rounds(monitor)
    page = monitor.metrics.page().decode()
    for line in ('elf_resource_level{resource="cpu"} -1.0', 'elf_teams{state="active"} 2.0', "elf_ledger_holds 1.0"):
        assert line in page


@pytest.mark.rows("F57", "L4")
async def test_what_passed_the_gateway_and_should_be_heard_of_is_told_once_and_told_over(company: Company) -> None:
    noticed, monitor = Noticed(), company.monitor()
    monitor.world = replace(monitor.world, noticed=lambda: noticed.causes(company.now))
    for _ in range(3):
        noticed.false_counts("openai/gpt-5-mini", "it counts 900000000 tokens out, where 100 were allowed", company.now)
        await company.rounds(monitor)
    report = monitor.report()
    assert [one["cause"] for one in report["alerts"]] == ["counts:openai/gpt-5-mini"]
    [said] = company.said
    assert "900000000 tokens out" in said.body and "./elf costs" in said.body
