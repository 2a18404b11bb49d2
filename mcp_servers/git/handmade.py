"""A person's change, whole: what they changed by hand, and what the factories make of it, on top of main.

A folder of a team or a tool server is its spec and nothing else: whatever else lies in a person's copy of it is left there, and all
its files are rendered anew. What parents know of a team travels with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

from mcp_servers.factories.mcp_server import render_server
from mcp_servers.factories.server_files import dump_server, load_server
from mcp_servers.factories.spec_files import BadSpec, dump_spec
from mcp_servers.git.carried import Brought, Carried, carry_over
from mcp_servers.git.chart_facts import BadTeams, reports_change
from mcp_servers.git.compared import blob_sha
from mcp_servers.git.factory import Factory, Zone
from mcp_servers.git.objects import Entry
from mcp_servers.git.repository import Repository
from policies.kinds import CATALOG, is_report, server_folder, team_folder
from teams.spec import TeamSpec

Spec = TypeVar("Spec")


class Unmakeable(Exception):
    """The change cannot be made; each reason says what to do."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass
class Made:
    """Every file that differs from main afterwards (None: removed), and what people should know of how it came about."""

    carried: Carried
    files: dict[str, bytes | None] = field(default_factory=dict[str, "bytes | None"])
    modes: dict[str, str] = field(default_factory=dict[str, str])
    #: Folders whose files the factories made, `reports` among them.
    rendered: list[str] = field(default_factory=list[str])
    #: Generated files that the person had otherwise: they are as the factory makes them.
    not_taken: list[str] = field(default_factory=list[str])

    def is_made(self, path: str) -> bool:
        """Whether a factory made the file: people read its spec instead."""
        return any(path.startswith(f"{folder}/") for folder in self.rendered) and not path.endswith(_SPECS)


_SPECS = ("/team.yaml", "/server.yaml")


def make(scratch: Repository, factory: Factory, main: str, brought: Sequence[Brought], *, whole: bool) -> Made:
    """The change that these files ask for onto the commit `main`. Raises `Unmakeable`."""
    work = _Work(scratch, factory, main)
    by_hand = [work.canonical(one) for one in brought if not _is_generated(one.path)]
    made = Made(carry_over(scratch, main, by_hand, whole=whole))
    if made.carried.conflicts:
        raise Unmakeable(*(_conflict(path) for path in made.carried.conflicts))
    put: dict[str, TeamSpec] = {}
    gone: set[str] = set()
    for folder in sorted({folder for one in brought if (folder := folder_of(one.path)) and work.differs(one)}):
        spec = work.spec_of(folder, made.carried.files)
        if spec is None:
            gone.add(folder)
            work.replace(made, folder, {})
            continue
        team, files = work.rendered(folder, spec)
        # Not every old copy of a team asks for it to be made anew by today's factory; one that was made by it does.
        if _spec_path(folder) in made.carried.files or work.is_renewed(folder, files, brought):
            put |= {folder: team} if team is not None else {}
            work.replace(made, folder, files)
    by_spec = {path for path in made.carried.files if folder_of(path)}
    made.files |= {path: data for path, data in made.carried.files.items() if path not in by_spec}
    made.modes |= {path: mode for path, mode in made.carried.modes.items() if path in made.files}
    work.tell_parents(made, put, gone)
    made.not_taken = [one.path for one in brought if _is_generated(one.path) and work.is_other(one, made)]
    return made


def folder_of(path: str) -> str | None:
    """The team's or the tool server's folder that the path lies in."""
    if (team := team_folder(path)) is not None:
        return "/".join(team)
    server = server_folder(path)
    return f"{CATALOG}{server}" if server is not None else None


def living_folder(repository: Repository, commit: str, team: str) -> str | None:
    """The folder of the team of that name at the commit; None if there is none."""
    folder = team.replace("-", "_")
    paths = [f"{zone}/{folder}" for zone in ("meta_teams", "teams") if folder.isidentifier()]
    found = (path for path in paths if repository.tree(commit, path) is not None)
    return next((path for path in found if team_folder(f"{path}/team.yaml") is not None), None)


def _is_generated(path: str) -> bool:
    return is_report(path) or (folder_of(path) is not None and path != _spec_path(str(folder_of(path))))


def _spec_path(folder: str) -> str:
    return f"{folder}/{'server.yaml' if folder.startswith(CATALOG) else 'team.yaml'}"


def _conflict(path: str) -> str:
    return (
        f"{path}: main changed the same lines since (./elf main {path} prints it as it is there); make your change in that, "
        "or take your file whole in its place: --whole"
    )


class _Work:
    """Reads main; writes nothing."""

    def __init__(self, repository: Repository, factory: Factory, main: str) -> None:
        self._repository, self._factory, self._main = repository, factory, main
        self._now: dict[str, Entry] = {entry.path: entry for entry in repository.listing(main)}

    def canonical(self, one: Brought) -> Brought:
        """A spec as the factory writes it: how a person lays out their file is no change."""
        if one.data is None or folder_of(one.path) is None:
            return one
        load, dump = self._reader(one.path)
        return replace(one, data=dump(_loaded(one.path, one.data, load)).encode(), mode="100644")

    def differs(self, one: Brought) -> bool:
        """Whether the person's file is another one than main's."""
        there = self._now.get(one.path)
        return (there.sha if there else None) != (blob_sha(one.data) if one.data is not None else None)

    def is_other(self, one: Brought, made: Made) -> bool:
        """Whether the person's copy of a generated file is neither main's nor what it becomes."""
        return one.data is not None and self.differs(one) and made.files.get(one.path) != one.data

    def spec_of(self, folder: str, carried: Mapping[str, bytes | None]) -> bytes | None:
        """The folder's spec as it would be; None where the folder goes away."""
        path = _spec_path(folder)
        if path in carried:
            return carried[path]
        if path not in self._now:
            raise Unmakeable(f"{path} is missing: write it, and the factory makes the rest of {folder}")
        return self._repository.read(self._main, path)

    def rendered(self, folder: str, text: bytes) -> tuple[TeamSpec | None, Mapping[str, bytes]]:
        """The team, if it is one, and the folder's files as the factory makes them of the spec."""
        path = _spec_path(folder)
        if folder.startswith(CATALOG):
            server = _loaded(path, text, load_server)
            _same_name(path, server.name, folder)
            return None, render_server(server)
        spec = _loaded(path, text, self._factory.load)
        _same_name(path, spec.folder, folder)
        return spec, self._factory.render(spec, cast(Zone, folder.split("/")[0]))

    def is_renewed(self, folder: str, files: Mapping[str, bytes], brought: Iterable[Brought]) -> bool:
        """Whether the person brings a file that main has otherwise and that is as today's factory makes it."""
        mine = [one for one in brought if folder_of(one.path) == folder and self.differs(one)]
        return any(files.get(one.path.removeprefix(f"{folder}/")) == one.data for one in mine if one.data is not None)

    def replace(self, made: Made, folder: str, wanted: Mapping[str, bytes]) -> None:
        """Puts exactly the wanted files into the folder."""
        files: dict[str, bytes | None] = {path: None for path in self._now if path.startswith(f"{folder}/")}
        files |= {f"{folder}/{name}": data for name, data in wanted.items()}
        self._note(made, folder, files)

    def tell_parents(self, made: Made, put: Mapping[str, TeamSpec], gone: Iterable[str]) -> None:
        """Adds what the teams' parents learn."""
        teams_gone = [folder for folder in gone if not folder.startswith(CATALOG)]
        if not put and not teams_gone:
            return
        try:
            told = reports_change(self._repository, self._factory, self._main, put, teams_gone)
        except BadTeams as error:
            raise Unmakeable(f"who reports to whom cannot be computed: {error}") from error
        self._note(made, "reports", told)

    def _note(self, made: Made, folder: str, files: Mapping[str, bytes | None]) -> None:
        made.rendered.append(folder)
        for path, data in files.items():
            there = self._now.get(path)
            now = (there.sha, there.mode) if there else None
            if now != (None if data is None else (blob_sha(data), "100644")):
                made.files[path] = data

    def _reader(self, path: str) -> tuple[Callable[[bytes], object], Callable[..., str]]:
        return (load_server, dump_server) if path.startswith(CATALOG) else (self._factory.load, dump_spec)


def _loaded(path: str, text: bytes, load: Callable[[bytes], Spec]) -> Spec:
    try:
        return load(text)
    except BadSpec as error:
        raise Unmakeable(*(f"{path}: {reason}" for reason in error.errors[:20])) from error
    except ValueError as error:
        raise Unmakeable(f"{path}: {str(error)[:1000]}") from error


def _same_name(path: str, named: str, folder: str) -> None:
    own = folder.rsplit("/", 1)[1]
    if named != own:
        where = f"{folder.rsplit('/', 1)[0]}/{named}"
        raise Unmakeable(f"{path}: it names {named}, and lies in {own}; move it to {where}, or keep the name")
