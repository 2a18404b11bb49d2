"""The same company on a real Postgres."""

from __future__ import annotations

import pytest
from rich.console import Console
from sqlalchemy import text

from bootstrap.demo.stage import throw_away_company, wait_for
from bootstrap.settings import read_settings
from memory.session import Database


@pytest.mark.postgres
@pytest.mark.rows("F27", "F33", "L8")
def test_a_company_on_postgres_proposes_merges_and_deploys_a_team_and_its_ledger_holds(postgres_url: str) -> None:
    settings = read_settings({"ELF_DATABASE_URL": postgres_url})
    with throw_away_company(settings, Console(quiet=True), database_url=postgres_url) as stage:
        said = stage.company.post("/say", {"text": "We need a legal team that reviews our contracts"})
        change = next(one for one in said["evidence"] if one["kind"] == "change")
        assert stage.company.post(f"/changes/{change['change']}/approve", {"head": change["head"]})["merged"]

        def active() -> bool:
            team = stage.team(change["team"])
            return team is not None and team["state"] == "active"

        wait_for("the team active", active)
        assert stage.company.get("/audit/verify")["ok"]
        assert not (stage.home.path / "company.db").exists()
    database = Database(postgres_url)
    with database.read() as session:
        teams = session.execute(text("SELECT count(*) FROM teams")).scalar_one()
    database.close()
    assert teams == 3
