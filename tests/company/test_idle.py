"""A company that nobody asks anything spends nothing: not one model call, for seconds in truth and for days by the clock."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest

from bootstrap.demo.stage import Stage, wait_for
from memory import summaries, usage
from memory.session import Database
from tests.doubles.gateway import office

DAYS, TICK = 3, timedelta(minutes=15)
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


@pytest.mark.rows("F44", "F45")
def test_the_gateway_s_rounds_make_no_call_and_no_row_over_days(tmp_path: Path) -> None:
    with office(tmp_path) as company:
        until = company.world.now + timedelta(days=DAYS)
        while company.world.now < until:
            company.world.now += TICK
            company.gateway.door.sweep()
            with company.database.begin() as session:
                assert summaries.catch_up(session, company.world.now) == []
        assert company.ledger() == [] and company.world.rehearsed == []


def _calls(url: str) -> int:
    database = Database(url)
    try:
        with database.read() as session:
            return usage.total(session).calls
    finally:
        database.close()
