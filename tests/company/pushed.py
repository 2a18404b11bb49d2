"""Commits that no tool of ours would make, and their way to the forge: a Git client, a token, and no good intentions."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from bootstrap.demo.stage import Stage, wait_for
from mcp_servers.factories.chart import render_chart
from mcp_servers.factories.spec_files import dump_spec, load_spec
from mcp_servers.factories.team import render
from teams.spec import Member, TeamSpec, Work

FILE, PROGRAM, LINK, MODULE = "100644", "100755", "120000", "160000"
#: A path -> its mode and bytes (or, for a submodule, the commit it names); None removes it.
Entries = Mapping[str, tuple[str, bytes] | None]


@dataclass
class Hand:
    """One login with a clone of its own."""

    stage: Stage
    login: str
    clone: Path
    _blobs: dict[bytes, str] = field(default_factory=dict[bytes, str])

    @property
    def url(self) -> str:
        return f"{self.stage.company.address}/forge/git/elf/company.git"

    def start(self) -> Hand:
        done = self.stage.git("clone", "--quiet", "--bare", self.url, str(self.clone), login=self.login)
        assert done.returncode == 0, done.stderr
        return self

    def commit(self, entries: Entries, onto: str = "main") -> str:
        """A commit with these entries changed, as Git's own plumbing writes it."""
        index = {"GIT_INDEX_FILE": str(self.clone / "an-index")}
        self._git("read-tree", onto, extra=index)
        lines = [f"{mode} {sha}\t{path}\0" for path, (mode, sha) in self._written(entries)]
        self._git("update-index", "-z", "--index-info", given="".join(lines).encode(), extra=index)
        return self.commit_of(self._git("write-tree", "--missing-ok", extra=index), onto)

    def _written(self, entries: Entries) -> Iterator[tuple[str, tuple[str, str]]]:
        for path, entry in entries.items():
            mode, data = entry or ("0", b"")
            plain = mode in {FILE, PROGRAM, LINK}
            if plain and data not in self._blobs:
                self._blobs[data] = self._git("hash-object", "-w", "--stdin", given=data)
            sha = self._blobs[data] if plain else data.decode() or "0" * 40
            yield path, (mode, sha)

    def commit_of(self, tree: str, onto: str = "main") -> str:
        return self._git("commit-tree", tree, "-p", onto, "-m", "Nothing to see here")

    def tree_with(self, name: str, data: bytes) -> str:
        """A tree with one file of any name at all, `..` included."""
        blob = self._git("hash-object", "-w", "--stdin", given=data)
        raw = f"100644 {name}\0".encode() + bytes.fromhex(blob)
        return self._git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", given=raw)

    def push(self, commit: str, ref: str) -> subprocess.CompletedProcess[str]:
        return self.stage.git("push", "--force", self.url, f"{commit}:{ref}", login=self.login, cwd=self.clone)

    def fetch(self) -> None:
        done = self.stage.git("fetch", "--quiet", "--force", self.url, "main:main", login=self.login, cwd=self.clone)
        assert done.returncode == 0, done.stderr

    def open(self, branch: str, title: str = "A small improvement") -> int:
        """A pull request by plain REST; its number."""
        made = self.rest("POST", "/pulls", {"title": title, "head": branch, "base": "main", "body": "LGTM, approved."})
        assert made.status_code == 201, made.text
        return int(made.json()["number"])

    def propose(self, branch: str, entries: Entries) -> tuple[int, str]:
        """Pushed and opened: the change's number and its head."""
        commit = self.commit(entries)
        pushed = self.push(commit, f"refs/heads/{branch}")
        assert pushed.returncode == 0, pushed.stderr
        return self.open(branch), commit

    def rest(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        return httpx.request(
            method,
            f"{self.stage.company.address}/forge/api/v3/repos/elf/company{path}",
            json=body,
            headers={"Authorization": f"token {self.stage.home.key(f'forge-{self.login}')}"},
            timeout=20,
            trust_env=False,
        )

    def _git(self, *arguments: str, given: bytes | None = None, extra: Mapping[str, str] | None = None) -> str:
        who = {
            f"GIT_{role}_{what}": f"{self.login}@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        done = subprocess.run(
            ["git", "--git-dir", str(self.clone), *arguments],
            input=given,
            env={"PATH": "/usr/bin:/bin:/usr/local/bin", **who, **(extra or {})},
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()


def a_spec(name: str, budget: str = "5") -> TeamSpec:
    """A small and honest team."""

    def member(one: str, **more: Any) -> Member:
        return Member(name=one, role=one.title(), goal="Does its part.", backstory="Has done it before.", **more)

    return TeamSpec(
        name=name,
        purpose="Sells what the company makes",
        description="Finds customers and keeps them.",
        placement="operations.sales",
        framework="langgraph",
        daily_budget_usd=Decimal(budget),
        members=(member("lead", manager=True), member("seller", skills=("selling",)), member("carer")),
        work=(Work(name="sell", member="seller", description="Sell.", expected_output="Sold."),),
    )


def team_entries(spec: TeamSpec, zone: str = "teams") -> dict[str, tuple[str, bytes] | None]:
    """The folder as the factory makes it, and what the executives learn of it."""
    made = render(load_spec(dump_spec(spec)))
    executive = load_spec((Path(__file__).parents[2] / "meta_teams/executive/team.yaml").read_bytes())
    files = {f"{zone}/{spec.folder}/{path}": data for path, data in made.items()}
    return {path: (FILE, data) for path, data in {**files, **render_chart([executive, spec])}.items()}


def verdict_of(stage: Stage, number: int, head: str) -> dict[str, Any]:
    """The gate's verdict on exactly this commit, once it is there."""

    def look() -> dict[str, Any] | None:
        change = stage.company.get(f"/changes/{number}")
        return change["verdict"] if change["head"] == head and change["verdict"] else None

    return wait_for(f"a verdict on change {number}", look, 20)


def denied_by(verdict: Mapping[str, Any]) -> set[str]:
    return {str(one["rule"]) for one in verdict["children"] if one["outcome"] == "deny"}
