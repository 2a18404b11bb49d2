"""Tells running teams what main now says of them: the teams that report to each, one file a team, replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from memory.registry import Registered
from teams.chart import REPORTS, Report, relations, report_of
from teams.runtime.told import REPORTS_FILE


def told_dir(home: Path, team: str) -> Path:
    """The folder a team reads what it is told from."""
    return home / "teams" / team / "told"


def tell_reports(home: Path, teams: Sequence[Registered]) -> list[str]:
    """Writes each team's reports where they changed; the names of the teams that learned something. Idempotent."""
    below: dict[str, list[Report]] = {team.spec.name: [] for team in teams}
    for parent, child in relations(team.spec for team in teams):
        below[parent.name].append(report_of(child))
    return [name for name, reports in below.items() if _write(told_dir(home, name), REPORTS.dump_json(tuple(reports)))]


def _write(folder: Path, data: bytes) -> bool:
    file = folder / REPORTS_FILE
    if file.is_file() and file.read_bytes() == data:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{REPORTS_FILE}.{os.getpid()}"
    fresh.write_bytes(data)
    # At once for whoever reads it meanwhile: the old list or the new one.
    fresh.replace(file)
    return True
