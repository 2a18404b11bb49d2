"""Tells the story once, with kills at the points that are asked for, and holds the accounts of two tellings against each other."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcp_servers.factories.chart import render_chart
from mcp_servers.factories.spec_files import load_spec
from memory.migrate import upgrade
from memory.session import Database
from tests.git.desk_world import Server, running_world, seeded, team_files
from tests.killing.story import Life, account, live

#: So many points of the story are tried in the tests, spread evenly over it.
PARTS = 42
_PATIENCE_S = 90


@dataclass(frozen=True)
class Told:
    """What a story left behind, and the points that its last process passed."""

    account: dict[str, Any]
    passed: tuple[str, ...]


def make_template(root: Path) -> Path:
    """A seeded repository and a migrated database, to be copied for each telling."""
    executive = team_files("executive", "meta_teams", placement="executive")
    specs = [load_spec(data) for path, data in executive.items() if path.endswith("team.yaml")]
    seeded(root / "forge", executive | render_chart(specs))
    database = Database(f"sqlite:///{root / 'company.db'}")
    upgrade(database)
    database.close()
    return root


def storytellers() -> Any:
    """Where the story's processes are forked from: one that has loaded everything and has no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.killing.story"])
    return context


def tell(folder: Path, server: Server, template: Path, processes: Any, *kills: int, naive: bool = False) -> Told:
    """Each of `kills` ends one process at that point of its own; the last process lives to the story's end."""
    folder.mkdir()
    shutil.copy(template / "company.db", folder)
    database = Database(f"sqlite:///{folder / 'company.db'}")
    report = folder / "passed.json"
    with running_world(folder, server, database, template / "forge") as world:
        life = Life(str(world.root), world.port, str(database.url), str(folder / "home"), str(report), naive=naive)
        for attempt, kill_at in enumerate((*kills, None)):
            child = processes.Process(target=live, args=(replace(life, attempt=attempt, kill_at=kill_at),))
            child.start()
            child.join(_PATIENCE_S)
            expected = 0 if kill_at is None else -signal.SIGKILL
            if child.exitcode not in (expected, 0):
                raise AssertionError(f"killed at {kills}: process {attempt} ended with {child.exitcode}")
        told = Told(account(world), tuple(json.loads(report.read_text())))
    database.close()
    return told


def difference(undisturbed: Told, other: Told) -> dict[str, str]:
    """What is not as if nothing had happened."""
    return {
        name: f"{other.account.get(name)} instead of {value}"
        for name, value in undisturbed.account.items()
        if other.account.get(name) != value
    }
