"""`./elf factory reports`: whoever changes a team by hand has one command that brings its parents up to date."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bootstrap.cli import app
from bootstrap.client import CompanyError
from bootstrap.fixpoint import check_fixpoint
from bootstrap.reports import write_reports

pytestmark = pytest.mark.rows("F16")

ROOT = Path(__file__).parents[2]
DEVOPS = "reports/executive/devops.yaml"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The teams that a company begins with, and what their parents know of them."""
    for name in ("meta_teams", "reports"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def change_purpose(checkout: Path) -> None:
    path = checkout / "meta_teams" / "devops" / "team.yaml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join("purpose: Another one\n" if it.startswith("purpose:") else it for it in lines))


def told_rightly(checkout: Path) -> bool:
    return next(not it["differing"] for it in check_fixpoint(checkout)["teams"] if it["team"] == "reports")


def test_what_a_parent_knows_follows_a_change_made_by_hand(checkout: Path) -> None:
    change_purpose(checkout)
    assert not told_rightly(checkout)

    said = CliRunner().invoke(app, ["factory", "reports", str(checkout)])

    assert said.exit_code == 0
    assert "purpose: Another one" in (checkout / DEVOPS).read_text()
    assert told_rightly(checkout)


def test_a_retired_team_is_taken_from_its_parents_knowledge_and_nothing_else_is_touched(checkout: Path) -> None:
    kept = (checkout / DEVOPS).stat().st_mtime_ns
    gone = checkout / "reports" / "executive" / "gone_team.yaml"
    gone.write_text("team: gone-team\n")

    found = write_reports(checkout)

    assert (found["written"], found["removed"]) == ([], ["executive/gone_team.yaml"])
    assert not gone.exists()
    assert (checkout / DEVOPS).stat().st_mtime_ns == kept


def test_a_second_run_finds_nothing_to_do(checkout: Path) -> None:
    change_purpose(checkout)
    assert write_reports(checkout)["written"] == ["executive/devops.yaml"]
    again = write_reports(checkout)
    assert (again["written"], again["removed"]) == ([], [])


def test_a_folder_without_teams_loses_nothing(tmp_path: Path) -> None:
    report = tmp_path / "reports" / "executive" / "some_team.yaml"
    report.parent.mkdir(parents=True)
    report.write_text("team: some-team\n")
    with pytest.raises(CompanyError, match="holds no team; name the root"):
        write_reports(tmp_path)
    assert report.exists()


def test_a_spec_that_is_no_team_is_named_with_what_is_wrong(checkout: Path) -> None:
    path = checkout / "meta_teams" / "devops" / "team.yaml"
    path.write_text("name: devops\n")
    with pytest.raises(CompanyError, match=r"devops/team\.yaml is no team: .*purpose"):
        write_reports(checkout)
