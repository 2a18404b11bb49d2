"""What kind of change it is, told from what it touches. Titles, labels and branch names have no say."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from policies.facts import Facts, Kind

LAW_FOLDER = "policies/"
#: Where agents may add tool servers, a folder each.
CATALOG = "mcp_servers/catalog/"
TEAM_ZONES = frozenset({"teams", "meta_teams"})
#: What parents know of the teams below them: made by the factory from the teams' own specs, so part of a change to a team.
REPORTS = "reports/"
#: Folders beside the teams that are no team's: not a matter of policy, or an agent's reach would be.
PLATFORM_FOLDERS = frozenset(
    {("teams", "runtime"), ("teams", "resilience"), ("teams", "catalog"), ("meta_teams", "delivery")}
)


class Ground(StrEnum):
    """What a path belongs to, as far as trust goes."""

    #: Whatever judges, holds keys or runs teams: everything that is not one of the other two.
    CONSTITUTION = "constitution"
    TEAMS = "teams"
    CATALOGUE = "catalogue"


def ground_of(path: str) -> Ground:
    """The ground a path lies on. The company's own teams (meta_teams) are constitution; what parents know of teams is the teams'."""
    if server_folder(path) is not None:
        return Ground.CATALOGUE
    if is_report(path):
        return Ground.TEAMS
    team = team_folder(path)
    return Ground.TEAMS if team is not None and team[0] == "teams" else Ground.CONSTITUTION


def team_folder(path: str) -> tuple[str, str] | None:
    """(zone, folder) if the path lies in a team's folder."""
    parts = path.split("/")
    if len(parts) < 3 or parts[0] not in TEAM_ZONES or (parts[0], parts[1]) in PLATFORM_FOLDERS:
        return None
    return parts[0], parts[1]


def is_report(path: str) -> bool:
    """Whether the path lies where parents' knowledge stands."""
    return path.startswith(REPORTS)


def zone_of(path: str) -> str:
    """The part of the repository that `policies/changes.yaml` gives rights in: a top folder, or `catalog` for its folders."""
    return "catalog" if server_folder(path) is not None else path.split("/")[0]


def server_folder(path: str) -> str | None:
    """The folder's name if the path lies in a tool server's folder of the catalogue."""
    parts = path.removeprefix(CATALOG).split("/")
    return parts[0] if path.startswith(CATALOG) and len(parts) > 1 else None


def one_server_folder(paths: Iterable[str]) -> str | None:
    """The one server folder that all paths lie in, if they do."""
    folders = {server_folder(path) for path in paths}
    return next(iter(folders)) if len(folders) == 1 else None


def touched_folders(paths: Iterable[str]) -> set[tuple[str, str] | None]:
    """The team folders touched; None among them if anything but what parents know of them is touched, too."""
    return {team_folder(path) for path in paths if not is_report(path)}


def kind_of(facts: Facts) -> Kind:
    """The kind; `MIXED` if the change is of several at once, `PLATFORM` if of none of the others."""
    law = [file.path.startswith(LAW_FOLDER) for file in facts.files]
    if law and all(law):
        return Kind.LAW
    folders = touched_folders(file.path for file in facts.files)
    if any(law) or len(folders) > 1:
        return Kind.MIXED
    server = one_server_folder(file.path for file in facts.files)
    if server is not None and facts.server is not None and facts.server.folder == server:
        return Kind.NEW_SERVER if facts.server.tree_before is None else Kind.CHANGE_SERVER
    folder = next(iter(folders), None)
    if folder is None or facts.team is None or (facts.team.zone, facts.team.folder) != folder:
        return Kind.PLATFORM
    if facts.team.tree_before is None:
        return Kind.NEW_TEAM
    if facts.team.tree_after is None:
        return Kind.RETIRE_TEAM
    if facts.team.tree_after in facts.team.verified_trees:
        return Kind.ROLLBACK_TEAM
    return Kind.CHANGE_TEAM
