"""A company that nobody asks anything spends nothing: not one model call, for seconds in truth and for days by the clock."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from bootstrap.demo.stage import Stage, wait_for
from memory import usage
from memory.session import Database
from memory.tables import AuditRow, Base
from tests.doubles.kernel import Turned, kernel_by_hand

DAYS, TICK = 2, timedelta(minutes=15)
SECONDS = 4


@pytest.mark.rows("F44", "F45")
def test_teams_that_are_idle_make_no_model_call(stage: Stage) -> None:
    def all_active() -> bool:
        return all(team["state"] == "active" for team in stage.company.get("/status")["teams"])

    wait_for("all teams active", all_active, 60)
    time.sleep(SECONDS)
    assert _calls(stage.settings.database_url) == 0
    said = stage.company.post("/say", {"text": "We need a team that answers customer support tickets"})
    assert said and _calls(stage.settings.database_url) > 0, "asked, it does call: the count is no dead number"


@pytest.fixture
async def turned(tmp_path: Path) -> AsyncGenerator[Turned]:
    """A whole company whose teams are up, and whose clock is ours."""
    async with kernel_by_hand(tmp_path) as found:
        async with asyncio.timeout(90):
            while any(team["state"] != "active" for team in await asyncio.to_thread(_teams, found)) or not _teams(
                found
            ):
                await found.kernel.reconciler.tick()
                await asyncio.sleep(0.05)
        yield found


@pytest.mark.rows("F44", "F45", "F57")
async def test_every_loop_of_a_whole_company_makes_no_call_for_days_and_writes_next_to_nothing(turned: Turned) -> None:
    await turned.everything_once()
    rows, before = _rows(turned), _acts(turned)
    until = turned.clock.now + timedelta(days=DAYS)
    while turned.clock.now < until:
        turned.clock.now += TICK
        await turned.everything_once()
    acts = _acts(turned) - before
    # Tokens live an hour and are renewed at half of that, for each of the two teams; nothing else is worth a row.
    assert set(acts) <= {"team.tokens"}, acts
    assert acts.total() <= 2 * DAYS * 24 * 2
    grown = {name: count - rows[name] for name, count in _rows(turned).items() if count != rows[name]}
    # One row a resource of this machine that people are told of, however long; a machine that runs tests is busy.
    assert set(grown) <= {"audit", "readings", "alerts"} and grown.get("alerts", 0) <= 8, grown
    assert grown.get("readings", 0) <= 8 * DAYS * 24 * 4, "a reading each ten minutes at the most, of eight resources"
    assert all(team["state"] == "active" for team in _teams(turned)), "they lived through it"


@pytest.mark.rows("F45")
async def test_planted_hole_one_loop_that_asks_once_is_seen(turned: Turned) -> None:
    asked = turned.kernel.office

    async def chatty() -> None:
        # A question to the CEO has a deadline, and by this clock it has passed for the team.
        await asked.ask("executive", "Is there anything to do?")

    turned.kernel.monitor.round = chatty  # pyright: ignore[reportAttributeAccessIssue] - the hole
    before = _acts(turned)
    await turned.everything_once()
    acts = _acts(turned) - before
    assert acts["model.call"] > 0 and _rows(turned)["usage"] > 0


def _teams(turned: Turned) -> list[dict[str, object]]:
    return turned.kernel.office.teams.all(turned.clock.now)


def _acts(turned: Turned) -> Counter[str]:
    with turned.kernel.database.read() as session:
        query = select(AuditRow.action, func.count()).group_by(AuditRow.action)
        return Counter({str(action): int(count) for action, count in session.execute(query)})


def _rows(turned: Turned) -> dict[str, int]:
    with turned.kernel.database.read() as session:
        return {name: session.scalar(text(f"SELECT count(*) FROM {name}")) or 0 for name in Base.metadata.tables}


def _calls(url: str) -> int:
    database = Database(url)
    try:
        with database.read() as session:
            return usage.total(session).calls
    finally:
        database.close()
