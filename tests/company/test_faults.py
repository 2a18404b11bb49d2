"""One company and everything that can befall its processes: a start cut short, kills at every place, a second start. In this order."""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bootstrap.client import Company
from bootstrap.demo.stage import free_port, wait_for
from bootstrap.home import KEYS, Home
from bootstrap.launch import start_kernel
from bootstrap.settings import read_settings
from tests.company.traces import alive, family, gone, known_to, lasting, rows

ROOT = Path(__file__).resolve().parents[2]
#: What a person's shell may hold besides; no team has any business with it.
CANARIES = {
    "GITHUB_TOKEN": "ghp_canary0123456789abcdefghij",
    "AWS_SECRET_ACCESS_KEY": "canary-aws-0123456789abcdefghij",
    "VAULT_TOKEN": "hvs.canary0123456789abcdefghij",
}


@dataclass
class Life:
    """A home, its port, and the command line. The kernel comes and goes."""

    home: Home
    port: int
    #: The system's folder for temporary files, as this company finds it.
    temp: Path

    def elf(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bootstrap.cli", *arguments],
            cwd=ROOT,
            env=os.environ
            | CANARIES
            | {"ELF_HOME": str(self.home.path), "ELF_PORT": str(self.port), "TMPDIR": str(self.temp)}
            | more,
            capture_output=True,
            text=True,
            timeout=90,
        )

    def up(self) -> None:
        done = self.elf("up", "--detach")
        assert done.returncode == 0, done.stderr

    @property
    def kernel(self) -> int:
        found = self.home.kernel()
        assert found is not None, "no kernel runs"
        return int(found["pid"])

    def get(self, path: str, **query: Any) -> Any:
        with closing(Company(self.home)) as company:
            return company.get(path, **query)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        with closing(Company(self.home)) as company:
            return company.post(path, body)

    def active(self) -> dict[str, int] | None:
        """Each team's process, if all of them are active."""
        teams = self.get("/status")["teams"]
        if not teams or any(team["state"] != "active" or not team["process"] for team in teams):
            return None
        return {team["team"]: int(team["process"].removeprefix("pid ")) for team in teams}

    def count(self, query: str) -> int:
        return int(str(rows(self.home.path / "company.db", query)[0][0]))


def one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    said = [line for line in (done.stdout + done.stderr).strip().splitlines() if "✓" not in line]
    assert len(said) == 1, said
    assert all(word in said[0] for word in words), said


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Generator[Life]:
    company = Life(Home(tmp_path_factory.mktemp("life") / "home"), free_port(), tmp_path_factory.mktemp("temp"))
    yield company
    left = company.home.kernel()
    company.elf("down")
    assert left is None or not gone({left["pid"]})


# --- before there is a company ---


@pytest.mark.rows("F64", "F66")
def test_without_a_company_every_command_says_so_in_a_sentence(life: Life) -> None:
    one_sentence(life.elf("down"), "No company runs here")
    for arguments in (("status",), ("say", "hello"), ("changes",)):
        done = life.elf(*arguments)
        assert done.returncode == 1
        one_sentence(done, "./elf up")
    assert not life.home.path.exists()


@pytest.mark.rows("F64", "F66")
def test_what_stands_in_the_way_of_a_start_is_said_with_the_fix(life: Life, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = life.elf("up", "-d", ELF_PORT=str(other.getsockname()[1]))
    (tmp_path / "file").write_text("no folder")
    nowhere = life.elf("up", "-d", ELF_HOME=str(tmp_path / "file" / "home"))
    nobodys = life.elf("up", "-d", ELF_HOME="/proc/elf")
    odd = life.elf("up", "-d", ELF_PORT="http")
    unknown = life.elf("up", "-d", ELF_DATABASE_URL="mysql://x")
    assert [done.returncode for done in (taken, nowhere, nobodys, odd, unknown)] == [2] * 5
    one_sentence(taken, "port", "ELF_PORT=")
    one_sentence(nowhere, "ELF_HOME")
    one_sentence(nobodys, "ELF_HOME")
    one_sentence(odd, "ELF_PORT=7070")
    one_sentence(unknown, "postgresql://")
    assert life.home.kernel() is None


@pytest.mark.rows("F64", "F66")
def test_the_launcher_names_an_old_git_no_git_and_an_old_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launched(path: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "elf"), "status"]
        return subprocess.run(command, env={"PATH": str(path)}, capture_output=True, text=True, timeout=20)

    git = tmp_path / "old" / "git"
    git.parent.mkdir()
    git.write_text("#!/bin/sh\necho git version 2.30.2\n")
    git.chmod(0o755)
    old, none = launched(git.parent), launched(tmp_path)
    assert (old.returncode, none.returncode) == (2, 2)
    one_sentence(old, "2.38", "2.30.2")
    one_sentence(none, "Git 2.38")
    monkeypatch.setattr(sys, "version_info", (3, 9, 18, "final", 0))
    monkeypatch.setattr(sys, "version", "3.9.18 (main)")
    said = list[str]()
    monkeypatch.setattr(sys.stderr, "write", said.append)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "elf"), run_name="__main__")
    assert ended.value.code == 2
    assert "Python 3.11" in said[0]
    assert "3.9.18" in said[0]


@pytest.mark.rows("L5", "F66")
def test_a_start_that_was_cut_short_is_finished_by_the_next_one(life: Life) -> None:
    settings = read_settings({"ELF_HOME": str(life.home.path), "ELF_PORT": str(life.port)})
    for last_words in ('"step": "home"', '"step": "database"'):
        life.home.prepare()
        process, progress = start_kernel(settings, life.home)
        with os.fdopen(progress) as lines:
            next(line for line in lines if last_words in line)
            process.kill()
        process.wait()
    assert life.home.kernel() is None
    (life.home.path / "keys" / "operator").write_text("cut")
    (life.home.path / "keys" / ".gateway.0a1b2c3d").write_text("half")
    (life.home.path / "run" / "kernel.json").write_text(json.dumps({"pid": os.getpid(), "port": life.port}))
    (life.home.path / "run" / "executive-left-over.json").write_text("{")
    life.up()
    assert len(life.home.key("operator")) >= 32
    assert wait_for("both teams", life.active).keys() == {"executive", "devops"}
    again = life.elf("up", "-d")
    assert again.returncode == 0
    one_sentence(again, "already runs")
    assert life.count("SELECT COUNT(*) FROM audit WHERE action = 'company.seed'") == 1


# --- kills ---


@pytest.mark.rows("L5", "F106", "L8")
def test_a_kernel_killed_between_approval_and_merge_leaves_nobody_behind_and_merges_once_when_it_is_back(
    life: Life,
) -> None:
    said = life.post("/say", {"text": "We need a sales team that finds customers"})
    number = next(one["change"] for one in said["evidence"] if one["kind"] == "change")
    head = life.get(f"/changes/{number}")["head"]
    kernel = life.kernel
    company = family(kernel)
    approved = httpx.post(
        f"http://127.0.0.1:{life.port}/forge/api/v3/repos/elf/company/pulls/{number}/reviews",
        json={"event": "APPROVE", "commit_id": head},
        headers={"Authorization": f"token {life.home.key('forge-owner')}"},
        trust_env=False,
    )
    os.kill(kernel, signal.SIGKILL)
    assert approved.status_code == 200
    assert not gone({kernel, *company}), "somebody outlived the kernel"
    assert life.home.kernel() is None
    left = half_made(life)
    life.up()
    assert not left & set(life.home.scratch.iterdir())
    assert list(life.temp.iterdir()) == []
    assert wait_for("three teams", lambda: now if (now := life.active()) and len(now) == 3 else None, 40)
    assert life.get(f"/changes/{number}")["state"] == "merged"
    assert merges(life) == 1
    for query in (
        "SELECT COUNT(*) FROM change_ends",
        "SELECT COUNT(*) FROM change_intents",
        "SELECT COUNT(*) FROM audit WHERE action = 'change.merge'",
        "SELECT COUNT(*) FROM audit WHERE action = 'company.seed'",
    ):
        assert life.count(query) == 1, query
    assert life.get("/audit/verify")["ok"]


def half_made(life: Life) -> set[Path]:
    """What the kill left of a check, a proposal or a tree; and of a program that shut its folder behind itself."""
    shut = life.home.scratch / "elf-sandbox-of-the-dead" / "work"
    shut.mkdir(parents=True)
    (shut / "written").write_text("x")
    shut.chmod(0)
    return set(life.home.scratch.iterdir())


def merges(life: Life) -> int:
    bare = life.home.forge / "elf" / "company.git"
    done = subprocess.run(
        ["git", "--git-dir", str(bare), "rev-list", "--merges", "--count", "main"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.rows("F119", "F01", "F103")
def test_a_killed_team_comes_back_as_another_process_and_the_ledger_says_why(life: Life) -> None:
    before = wait_for("all teams", life.active)
    os.kill(before["sales-team"], signal.SIGKILL)
    after = wait_for("another process", lambda: now if (now := life.active()) and now != before else None)
    assert {team for team in after if after[team] != before[team]} == {"sales-team"}
    assert not alive(before["sales-team"])
    told = life.get("/audit", lines=50)["rows"]
    assert any("sales-team" in row["subject"] and "signal 9" in json.dumps(row["detail"]) for row in told), told[:12]


@pytest.mark.rows("F119", "L5")
def test_a_killed_nursery_takes_its_teams_along_and_all_of_them_come_back(life: Life) -> None:
    before = wait_for("all teams", life.active)
    (nursery,) = lasting(life.kernel) - set(before.values())
    os.kill(nursery, signal.SIGKILL)
    assert not gone(before.values()), "a team outlived its nursery"
    after = wait_for("all teams again", lambda: now if (now := life.active()) and set(now) == set(before) else None, 60)
    assert not set(after.values()) & set(before.values())
    assert life.post("/ask", {"team": "sales-team", "text": "Write to a customer"})["state"] == "completed"


@pytest.mark.rows("L5", "L8")
def test_a_killed_kernel_finds_everything_done_when_it_is_back(life: Life) -> None:
    kernel = life.kernel
    company = family(kernel)
    main, done_before = life.get("/status")["main"], once(life)
    os.kill(kernel, signal.SIGKILL)
    assert not gone({kernel, *company})
    assert life.elf("status").returncode == 1
    life.up()
    assert set(wait_for("all teams", life.active)) == {"executive", "devops", "sales-team"}
    assert life.get("/status")["main"] == main
    assert once(life) == done_before
    assert life.get("/audit/verify")["ok"]
    assert merges(life) == 1


def once(life: Life) -> Mapping[str, int]:
    """What may never be done twice."""
    tables = ("change_intents", "change_ends", "rate_slots", "verified_trees", "teams", "messages")
    return {table: life.count(f"SELECT COUNT(*) FROM {table}") for table in tables}


@pytest.mark.rows("F40", "F76", "L7")
def test_no_team_holds_a_key_of_the_kernels_or_of_the_shell_it_was_started_from(life: Life) -> None:
    secrets = {name: life.home.key(name) for name in KEYS} | CANARIES
    others = lasting(life.kernel)
    assert len(others) == 4
    assert {pid: known_to(pid, secrets) for pid in others} == {pid: set() for pid in others}
    # Planted: once in the environment, once in memory alone. The scan finds both.
    told = "import sys; secret = sys.stdin.readline(); print('ready', flush=True); sys.stdin.readline()"
    planted = subprocess.Popen(
        [sys.executable, "-c", told], env=CANARIES, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert planted.stdin is not None
    assert planted.stdout is not None
    with planted, planted.stdin, planted.stdout:
        planted.stdin.write(f"{secrets['operator']}\n")
        planted.stdin.flush()
        assert planted.stdout.readline() == "ready\n"
        assert known_to(planted.pid, secrets) == {"operator", *CANARIES}


@pytest.mark.rows("F66")
def test_down_ends_every_process_and_nothing_is_left_running(life: Life) -> None:
    kernel = life.kernel
    company = {kernel, *family(kernel)}
    done = life.elf("down")
    assert done.returncode == 0
    one_sentence(done, "Stopped")
    assert not gone(company)
    one_sentence(life.elf("down"), "No company runs here")
    assert {path.name for path in (life.home.path / "run").glob("*.json")} <= {"kernel.json"}
