"""The gate's figures, without a company: how long it takes to judge a large change, and to replay the past under another law."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bootstrap.seed import files_of
from mcp_servers.checks.runs import FolderRuns
from mcp_servers.checks.secret_scan import SecretScanner
from mcp_servers.git import facts as reading
from mcp_servers.git.changes import Change, not_yet_open
from mcp_servers.git.checking import BackgroundChecks
from mcp_servers.git.factory import TeamFactory
from mcp_servers.git.forge import seed
from mcp_servers.git.inspection import Inspector
from mcp_servers.git.judging import judge
from mcp_servers.git.objects import Signature
from mcp_servers.git.replaying import replayed
from mcp_servers.git.repository import Repository
from mcp_servers.sandbox.choice import Chosen
from memory import changes, decisions
from memory.changes import Judged
from memory.migrate import upgrade
from memory.session import Database
from policies.facts import SpecFacts, TeamFacts
from policies.law import Law
from policies.replay import as_json

FILES, DECISIONS = 1000, 1000
_NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
_WHO = Signature("owner", "owner@elf.local")
_BRANCH = "auto/bench/many-files"


@dataclass(frozen=True)
class _Gate:
    repository: Repository
    database: Database
    change: Change
    inspector: Inspector


def measure(checkout: Path) -> list[dict[str, Any]]:
    """Five judgements of a change of 1,000 files, and three replays of 1,000 decisions."""
    figures: list[dict[str, Any]] = []
    with _gate(checkout) as gate:
        for _ in range(5):
            figures.append(_judged(gate))
        _remember(gate)
        for _ in range(3):
            figures.append(_replayed(gate))
    return figures


def _judged(gate: _Gate) -> dict[str, Any]:
    began = time.perf_counter()
    found = judge(
        gate.repository, _factory(), gate.database, gate.change, (), _NOW, comments=(), inspector=gate.inspector
    )
    seconds = time.perf_counter() - began
    if found.facts is None or len(found.facts.files) != FILES:
        raise RuntimeError(f"the change could not be judged: {found.verdict.text()}")
    what = f"gate on a change of {FILES:,} files, without sandbox"
    return {"what": what, "value": seconds * 1000, "unit": "ms", "reach": 300}


def _replayed(gate: _Gate) -> dict[str, Any]:
    before = reading.read_base(gate.repository, "main").law
    began = time.perf_counter()
    with gate.database.read() as session:
        found = replayed(decisions.past(session, most=DECISIONS), before, _stricter(before))
    seconds = time.perf_counter() - began
    if found["decisions"] != DECISIONS or found["untold"] or len(found["turned"]) != DECISIONS:
        raise RuntimeError(
            f"{found['decisions']} decisions replayed, {len(found['turned'])} turned, {found['untold']} not told"
        )
    return {
        "what": f"replay of {DECISIONS:,} past decisions under a new law",
        "value": seconds,
        "unit": "s",
        "reach": 10,
    }


def _stricter(law: Law) -> Law:
    """A law under which every one of the remembered decisions turns: agents may add nothing."""
    kinds = {kind: one.model_copy(update={"agents_in": ()}) for kind, one in law.changes.kinds.items()}
    return law.model_copy(update={"changes": law.changes.model_copy(update={"kinds": kinds})})


def _remember(gate: _Gate) -> None:
    """So many decisions on a new team of a hundred files, each with facts of its own."""
    base = reading.read_base(gate.repository, "main")
    contents = reading.read_contents(gate.repository, base.commit, gate.change.head)
    nothing = reading.Remembered()
    facts = reading.build(gate.repository, _factory(), gate.change, base, contents, (), nothing, _NOW)
    spec = SpecFacts(name="bench-team", folder="bench_team", framework="crewai", members=3, daily_budget_usd_micro=0)
    team = TeamFacts(zone="teams", folder="bench_team", tree_before=None, tree_after="1" * 40, spec_after=spec)
    files = tuple(one.model_copy(update={"path": f"teams/bench_team/{one.path}"}) for one in facts.files[:100])
    agents = {"author": "elf-devops", "requester": "devops/delivery-lead", "team": team, "files": files, "findings": ()}
    with gate.database.begin() as session:
        for number in range(1, DECISIONS + 1):
            at = _NOW + timedelta(minutes=number)
            body = as_json(facts.model_copy(update=agents | {"number": number, "read_at": at}))
            sha = decisions.keep_facts(session, number, body)
            row = Judged(number, facts.head, base.commit, base.policy_tree, "new_team", "allow", {}, at, sha)
            changes.record_verdict(session, row)


def _factory() -> TeamFactory:
    return TeamFactory(lambda _model: None)


@contextmanager
def _gate(checkout: Path) -> Generator[_Gate]:
    """A repository like a company's first, a branch that adds many files to it, and an empty memory."""
    folder = Path(tempfile.mkdtemp(prefix="elf-bench-law-"))
    database = Database(f"sqlite:///{folder / 'company.db'}")
    try:
        upgrade(database)
        contents, modes = files_of(checkout)
        repository = seed(folder / "forge", "elf", "company", contents, modes, _WHO, _NOW, "Seed the company\n")
        files: dict[str, bytes | None] = {f"docs/bench/f{n // 50}/page{n}.md": b"# A page\n" * 20 for n in range(FILES)}
        tree = repository.write_tree("main", files)
        head = repository.commit_tree(tree, [repository.resolve("main")], "Many files\n", _WHO, _NOW)
        repository.update_ref(f"refs/heads/{_BRANCH}", head, None)
        # Nothing of such a change is run, so what would run it is never asked.
        checks = BackgroundChecks(database, FolderRuns(checkout), lambda: Chosen(None, "none"), lambda: _NOW)
        change = replace(not_yet_open(head, "main", "owner", _NOW, branch=_BRANCH, title="Many files"), number=1)
        yield _Gate(repository, database, change, Inspector(repository, SecretScanner(dict), checks))
    finally:
        database.close()
        shutil.rmtree(folder)
