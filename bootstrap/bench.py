"""`./elf bench`: the figures of the README, measured on this machine in throw-away homes. Medians; nothing is asserted here."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from bootstrap.bench_calls import measure as measure_calls
from bootstrap.bench_law import measure as measure_law
from bootstrap.bench_ledger import measure as measure_ledger
from bootstrap.demo.stage import Stage, throw_away_company, wait_for
from bootstrap.demo.story import play
from bootstrap.seed import files_of
from bootstrap.settings import Settings
from mcp_servers.factories.team import render
from teams.spec import TeamSpec

WISHES = (
    "We need a team that answers customer support tickets",
    "We need a legal team that reviews our contracts",
    "We need a data team that builds weekly dashboards",
)
LIFTED = "limit lifted: measuring how quickly teams come up"


def measure(settings: Settings, *, teams: int, as_json: bool, console: Console) -> int:
    """Measures and prints; 0 if every measurement could be taken."""
    quiet = Console(stderr=True, quiet=True)
    figures: list[dict[str, Any]] = []
    for _ in range(3):
        began = time.monotonic()
        with throw_away_company(settings, quiet):
            figures.append(_figure("./elf up to serving, environment made", time.monotonic() - began, "s", 10))
    with throw_away_company(settings, quiet) as stage:
        figures += _growth(stage)
    with (
        _crowded_checkout(settings, teams - 2) as crowded,
        throw_away_company(replace(settings, checkout=crowded), quiet) as stage,
    ):
        figures += _crowd(stage, teams)
    figures += measure_law(settings.checkout)
    figures += measure_ledger()
    for _ in range(3):
        figures += measure_calls()
    began = time.monotonic()
    if play(settings, as_json=False, keep=False, console=quiet) != 0:
        console.print("the demo failed; ./elf demo says why", style="red")
        return 1
    figures.append(_figure("./elf demo, whole", time.monotonic() - began, "s", 60))
    _print(_medians(figures), as_json, console)
    return 0


def _growth(stage: Stage) -> list[dict[str, Any]]:
    """From a wish to a judged pull request, and from its approval to a healthy team."""
    figures: list[dict[str, Any]] = []
    for wish in WISHES:
        began = time.monotonic()
        said = stage.company.post("/say", {"text": wish})
        change = next(one for one in said["evidence"] if one["kind"] == "change")
        stage.company.get(f"/changes/{change['change']}")
        figures.append(_figure("message to the CEO to pull request with verdict", time.monotonic() - began, "s", 3))
        began = time.monotonic()
        stage.company.post(f"/changes/{change['change']}/approve", {"head": change["head"], "why": LIFTED})

        def active(name: str = change["team"]) -> bool:
            team = stage.team(name)
            return team is not None and team["state"] == "active"

        wait_for(f"{change['team']} active", active, 60)
        figures.append(_figure("approval to healthy team", time.monotonic() - began, "s", 2))
    return figures


def _crowd(stage: Stage, teams: int) -> list[dict[str, Any]]:
    """Many teams at once: all healthy, and the memory that the whole company then takes."""
    began = time.monotonic()

    def all_active() -> bool:
        found = stage.company.get("/status")["teams"]
        return len(found) >= teams and all(team["state"] == "active" for team in found)

    wait_for(f"{teams} teams active", all_active, 180)
    seconds = time.monotonic() - began
    kernel = psutil.Process(stage.kernel.pid)
    processes = [kernel, *kernel.children(recursive=True)]
    # Proportional set size: a page shared by twenty forks counts once.
    memory = sum(map(_memory, processes)) / 1e9
    return [
        _figure(f"{teams} teams: all healthy after serving began", seconds, "s", None),
        _figure(f"{teams} teams: memory of all {len(processes)} processes", memory, "GB", 3),
    ]


def _memory(process: psutil.Process) -> int:
    """Bytes; nothing for one that ended meanwhile, as the kernel's Git processes do all the time."""
    try:
        return process.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0


@contextmanager
def _crowded_checkout(settings: Settings, teams: int) -> Generator[Path]:
    """This checkout with so many more teams in it, rendered by the factory, half on each framework."""
    folder = Path(tempfile.mkdtemp(prefix="elf-bench-"))
    try:
        contents, _ = files_of(settings.checkout)
        for number in range(teams):
            spec = _spec(number)
            contents |= {f"teams/{spec.folder}/{path}": data for path, data in render(spec).items()}
        for path, data in contents.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        yield folder
    finally:
        shutil.rmtree(folder)


def _spec(number: int) -> TeamSpec:
    members = [
        {
            "name": name,
            "role": name,
            "goal": "Do the work well.",
            "backstory": "Knows the work.",
            "manager": name == "lead",
        }
        for name in ("lead", "maker", "checker")
    ]
    work = [
        {"name": "make", "member": "maker", "description": "Make what is asked for.", "expected_output": "The result."}
    ]
    return TeamSpec.model_validate(
        {
            "name": f"bench-team-{number}",
            "purpose": f"Measurement {number}",
            "description": "A team to be measured.",
            "placement": f"operations.bench{number}",
            "framework": "crewai" if number % 2 else "langgraph",
            "members": members,
            "work": work,
        }
    )


def _figure(what: str, value: float, unit: str, reach: float | None) -> dict[str, Any]:
    return {"what": what, "value": value, "unit": unit, "reach": reach}


def _medians(figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for figure in figures:
        found.setdefault(figure["what"], []).append(figure)
    return [
        rows[0] | {"value": round(statistics.median(row["value"] for row in rows), 2), "runs": len(rows)}
        for rows in found.values()
    ]


def _print(figures: list[dict[str, Any]], as_json: bool, console: Console) -> None:
    if as_json:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
        return
    for figure in figures:
        reach = f"reach {figure['reach']:g}" if figure["reach"] is not None else ""
        line = f"{figure['what']:<58} {figure['value']:8.2f} {figure['unit']:<3} {reach:<10} median of {figure['runs']}"
        console.print(re.sub(r"\s+$", "", line), markup=False)
