"""Who reports to whom in a tree of the repository, and what a change has to write so that every parent knows it.

Nothing of the tree is executed or imported: `team.yaml` files are read, and the chart is computed from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mcp_servers.factories.chart import render_chart
from mcp_servers.git.compared import compare
from mcp_servers.git.factory import Factory
from mcp_servers.git.repository import Repository
from policies.facts import ChangedFile, ReportsFacts
from policies.kinds import REPORTS, TEAM_ZONES, is_report, team_folder
from teams.chart import FOLDER
from teams.spec import TeamSpec

_SPEC_FILE = "/team.yaml"
_MAX_SPEC = 256_000


@dataclass(frozen=True)
class BadTeams(Exception):
    """A team's spec cannot be read, so nobody can say who reports to whom."""

    folder: str
    reason: str

    def __str__(self) -> str:
        return f"{self.folder}/team.yaml: {self.reason}"


def concerns_reports(files: Iterable[ChangedFile]) -> bool:
    """Whether a change of these files can make a difference to what parents know."""
    return any(is_report(file.path) or team_folder(file.path) is not None for file in files)


def reports_facts(repository: Repository, factory: Factory, tree: str) -> ReportsFacts:
    """The folder `reports/` of the tree, against what follows from its teams."""
    try:
        expected = _chart(_teams(repository, factory, tree).values())
    except BadTeams as error:
        return ReportsFacts(problem=str(error))
    missing, extra, different = compare(expected, repository.listing(tree, FOLDER), FOLDER)
    return ReportsFacts(missing=_full(missing), extra=_full(extra), different=_full(different))


def reports_change(
    repository: Repository, factory: Factory, base: str, put: Mapping[str, TeamSpec], gone: Iterable[str] = ()
) -> dict[str, bytes | None]:
    """What to write and remove (None) in `reports/` on top of `base`, once the folders `put` hold these teams and `gone` none.

    Raises `BadTeams`.
    """
    teams = {path: spec for path, spec in _teams(repository, factory, base, put).items() if path not in set(gone)}
    expected = _chart({**teams, **put}.values())
    missing, extra, different = compare(expected, repository.listing(base, FOLDER), FOLDER)
    written: dict[str, bytes | None] = {f"{FOLDER}/{name}": expected[name] for name in (*missing, *different)}
    return written | dict.fromkeys(_full(extra))


def _teams(
    repository: Repository, factory: Factory, tree: str, instead: Mapping[str, TeamSpec] | None = None
) -> dict[str, TeamSpec]:
    """Every team of the tree by its folder; those that are to be replaced need not be readable."""
    entries = {
        entry.path.removesuffix(_SPEC_FILE): entry
        for zone in sorted(TEAM_ZONES)
        for entry in repository.listing(tree, zone)
        if entry.path.endswith(_SPEC_FILE) and entry.path.count("/") == 2 and team_folder(entry.path) is not None
    }
    wanted = {folder: entry for folder, entry in entries.items() if folder not in (instead or {})}
    for folder, entry in wanted.items():
        if entry.kind != "blob" or entry.size is None or entry.size > _MAX_SPEC:
            raise BadTeams(folder, f"it is no plain file of at most {_MAX_SPEC} bytes; mend that team first")
    found: dict[str, TeamSpec] = {}
    for folder, text in zip(wanted, repository.blobs([entry.sha for entry in wanted.values()]), strict=True):
        try:
            found[folder] = factory.load(text)
        except ValueError as error:
            raise BadTeams(folder, f"{str(error)[:300]}; mend that team first") from error
    return found


def _chart(teams: Iterable[TeamSpec]) -> dict[str, bytes]:
    return {path.removeprefix(REPORTS): data for path, data in render_chart(teams).items()}


def _full(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{FOLDER}/{name}" for name in names)
