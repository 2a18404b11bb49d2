"""The company as main has it: a folder a team, read from Git. There is no shared list that two changes could fight over."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_servers.factories.spec_files import load_spec
from mcp_servers.git.repository import Repository
from memory.registry import Registered

ZONES = ("teams", "meta_teams")
MAIN = "refs/heads/main"


@dataclass(frozen=True)
class Directory:
    """Every team of one commit. `broken` maps a folder whose team.yaml cannot be read to the reason."""

    commit: str
    teams: tuple[Registered, ...]
    broken: dict[str, str]


def read_directory(repository: Repository, commit: str) -> Directory:
    """Reads every `<zone>/<folder>/team.yaml` of the commit."""
    paths = {
        entry.path: zone
        for zone in ZONES
        for entry in repository.listing(commit, zone)
        if entry.path.count("/") == 2 and entry.path.endswith("/team.yaml")
    }
    texts = repository.read_many(commit, paths)
    teams: list[Registered] = []
    broken: dict[str, str] = {}
    for path, zone in paths.items():
        folder = path.removesuffix("/team.yaml")
        try:
            spec = load_spec(texts[path].decode())
        except ValueError as error:
            broken[folder] = str(error)
            continue
        tree = repository.tree(commit, folder)
        if folder != f"{zone}/{spec.folder}" or tree is None:
            broken[folder] = f"its team.yaml names the team '{spec.name}', which belongs in {zone}/{spec.folder}"
            continue
        teams.append(Registered(spec=spec, zone=zone, tree=tree, commit=commit))
    return Directory(commit, tuple(sorted(teams, key=lambda team: team.spec.name)), broken)
