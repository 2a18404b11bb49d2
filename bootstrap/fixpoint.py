"""The fixpoint: the seeded teams, rendered anew by the factory they run, come out byte for byte the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bootstrap.reports import files_below, reports_of
from mcp_servers.factories.fileset import FileSet
from mcp_servers.factories.spec_files import load_spec
from mcp_servers.factories.team import render
from teams.chart import FOLDER

META_TEAMS = ("executive", "devops")


def check_fixpoint(checkout: Path) -> dict[str, Any]:
    """`{ok, teams: [{team, files, digest, differing}]}`; `differing` names files that differ, are missing or are extra."""
    teams = [_compare(checkout / "meta_teams" / name) for name in META_TEAMS]
    teams.append(_compare_reports(checkout))
    return {"ok": all(not team["differing"] for team in teams), "teams": teams}


def _compare(folder: Path) -> dict[str, Any]:
    return _beside(folder, render(load_spec((folder / "team.yaml").read_text()), "meta_teams"))


def _compare_reports(checkout: Path) -> dict[str, Any]:
    """What parents know of their teams: those that a checkout begins with, and those that came since."""
    return _beside(checkout / FOLDER, reports_of(checkout))


def _beside(folder: Path, fileset: FileSet) -> dict[str, Any]:
    there = files_below(folder)
    differing = sorted(path for path in {*there, *fileset} if there.get(path) != fileset.get(path))
    return {"team": folder.name, "files": len(fileset), "digest": fileset.digest, "differing": differing}
