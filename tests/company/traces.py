"""What an attack could leave behind, counted: rows, branches, files, processes. And what processes know, read from their memory."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bootstrap.demo.stage import Stage

#: Tables that no refused request may add a row to. (Refusals themselves are in the audit ledger.)
TABLES = (
    "messages",
    "change_intents",
    "change_ends",
    "rate_slots",
    "reservations",
    "usage",
    "verdicts",
    "teams",
    "deployments",
)
FORGE_TABLES = ("pulls", "reviews", "comments", "statuses", "labels")
#: The ledger's own head, put into Git from time to time.
_ANCHORS = "refs/elf/anchors"
_CHUNK = 8 << 20


@dataclass(frozen=True)
class Traces:
    rows: Mapping[str, int]
    refs: Mapping[str, str]
    files: frozenset[str]
    processes: frozenset[int]


def bare(stage: Stage) -> Path:
    return stage.home.forge / "elf" / "company.git"


def traces(stage: Stage) -> Traces:
    """Everything there is now, once no check is under way. Taken before and after an attack, the two must be equal."""
    settled(stage)
    return Traces(
        rows=_counts(stage.home.path / "company.db", TABLES)
        | _counts(stage.home.forge / "forge.sqlite3", FORGE_TABLES),
        refs=refs(stage),
        files=frozenset(_files(stage.home.path)),
        processes=frozenset(lasting(stage.kernel.pid)),
    )


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def refs(stage: Stage) -> dict[str, str]:
    """Every branch, tag and pull request of the company's repository, by Git itself."""
    listed = stage.git("--git-dir", str(bare(stage)), "for-each-ref", "--format=%(refname) %(objectname)")
    assert listed.returncode == 0, listed.stderr
    found = dict(line.split(" ") for line in listed.stdout.splitlines())
    return {name: sha for name, sha in found.items() if not name.startswith(_ANCHORS)}


def main_of(stage: Stage) -> str:
    return refs(stage)["refs/heads/main"]


def family(pid: int) -> set[int]:
    """A process's living descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(entry.name)] = int(parent)
    found, new = set[int](), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


def lasting(pid: int) -> set[int]:
    """The descendants without what ends by itself: Git commands, which the kernel runs at every look, and sandboxes with all in them."""
    passing = {one for one in family(pid) if _name(one).startswith("git") or _is_sandbox(one)}
    return family(pid) - passing - set[int]().union(*(family(one) for one in passing))


def _is_sandbox(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return command.split(b"\0")[0].endswith(b"bwrap") or b"sandbox/launcher.py" in command


def settled(stage: Stage, seconds: float = 60.0) -> None:
    """Waits until every open change's checks have ended, and its verdict says so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        verdicts = [one["verdict"] for one in stage.company.get("/changes")["changes"] if one["verdict"]]
        rules = [rule for verdict in verdicts for rule in verdict["children"]]
        if not any((rule["rule"], rule["outcome"]) == ("checks", "pending") for rule in rules):
            return
        time.sleep(0.05)


def gone(pids: Iterable[int], seconds: float = 10.0) -> set[int]:
    """Which of the processes still live when the time is over."""
    deadline = time.monotonic() + seconds
    left = set(pids)
    while left and time.monotonic() < deadline:
        left = {pid for pid in left if alive(pid)}
        time.sleep(0.02)
    return left


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return "git, it was"


def alive(pid: int) -> bool:
    try:
        return (Path(f"/proc/{pid}/stat")).read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def known_to(pid: int, secrets: Mapping[str, str]) -> set[str]:
    """The names of those secrets whose bytes are in the process's environment or in memory that it could write to."""
    wanted = {name: value.encode() for name, value in secrets.items()}
    found = _in(Path(f"/proc/{pid}/environ").read_bytes(), wanted)
    longest = max(map(len, wanted.values()))
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, end in _writable(pid):
            for at in range(start, end, _CHUNK):
                memory.seek(at)
                # A page may go away while it is looked for; the next one is read all the same.
                with contextlib.suppress(OSError):
                    found |= _in(memory.read(min(_CHUNK + longest, end - at)), wanted)
    return found


def _writable(pid: int) -> Iterable[tuple[int, int]]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, rights, *_ = line.split()
        if rights.startswith("rw"):
            start, end = (int(one, 16) for one in span.split("-"))
            yield start, end


def _in(data: bytes, wanted: Mapping[str, bytes]) -> set[str]:
    return {name for name, value in wanted.items() if value in data}


def _counts(path: Path, tables: Iterable[str]) -> dict[str, int]:
    return {table: int(str(rows(path, f"SELECT COUNT(*) FROM {table}")[0][0])) for table in tables}


def _files(home: Path) -> Iterable[str]:
    """Paths below the home, without what SQLite and Git keep for themselves."""
    for path in home.rglob("*"):
        name = path.relative_to(home).as_posix()
        if "/objects/" not in name and not name.endswith(("-wal", "-shm", "-journal", ".lock")):
            yield name
