"""Where the contract is tried: on the embedded forge, or on a scratch repository at GitHub, by the same calls."""

from __future__ import annotations

import base64
import os
import subprocess
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import pytest

from mcp_servers.git.objects import ANY, RefUpdate, Signature
from mcp_servers.git.repository import Repository
from tests.git.contract.description import Description
from tests.git.contract.documented import problems

Role = Literal["author", "reviewer", "gate", "admin"]
Files = Mapping[str, bytes | None]
PATIENCE_SECONDS = 20.0


@dataclass
class Place(ABC):
    """One repository and the accounts of its roles. Every answer is held against what GitHub documents."""

    client: httpx.Client
    api_url: str
    git_url: str
    repo: str
    tokens: Mapping[str, str]
    folder: Path
    description: Description | None = None
    #: Told apart from every other case's branches, files and labels by this.
    case: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    #: What to remove again when the case ends, newest first.
    made: list[tuple[Role, str]] = field(default_factory=list)

    @abstractmethod
    def push(self, branch: str, files: Files, onto: str | None = "main") -> str:
        """A commit of the author's on top of `onto` (None: of nothing), and the branch at it, by force; its hash."""

    def api(
        self, role: Role, method: str, path: str, json: object = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """One request below the repository, or, with a leading slash, below the API."""
        token = self.tokens.get(role)
        if token is None:
            pytest.skip("needs a second identity: ELF_CONTRACT_GITHUB_REVIEWER_TOKEN")
        below = path if path.startswith("/") else f"/repos/{self.repo}/{path}".rstrip("/")
        given = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json", **(headers or {})}
        answer = self.client.request(method, self.api_url + below, json=json, headers=given)
        body = answer.json() if answer.content else None
        plain = urlsplit(below).path
        template = "{repo}" + plain.removeprefix(f"/repos/{self.repo}") if plain.startswith("/repos/") else plain
        found = problems(method, template, answer.status_code, body)
        if self.description is not None:
            found += self.description.problems(method, template, answer.status_code, body)
        assert not found, found
        return answer

    def login(self, role: Role) -> str:
        return str(self.api(role, "GET", "/user").json()["login"])

    def branch(self, name: str = "change") -> str:
        return f"auto/contract/{self.case}/{name}"

    def file(self, name: str = "file.txt") -> str:
        return f"contract/{self.case}/{name}"

    def main(self) -> str:
        return str(self.api("author", "GET", "git/ref/heads/main").json()["object"]["sha"])

    def open_pull(self, name: str = "change", files: Files | None = None, **more: object) -> dict[str, Any]:
        """A pull request of the author's, with one commit."""
        self.push(self.branch(name), files or {self.file(f"{name}.txt"): b"one\n"})
        body = {"title": f"Contract {name}", "head": self.branch(name), "base": "main", "body": "Words.", **more}
        answer = self.api("author", "POST", "pulls", body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def pull(self, number: int, until: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """A pull request, asked for again until it is as wanted: GitHub works some of it out later."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = self.api("author", "GET", f"pulls/{number}").json()
            if until(found) or time.monotonic() > deadline:
                return found
            time.sleep(0.5)

    def merge(self, number: int, **wanted: object) -> httpx.Response:
        self.pull(number, lambda it: it["mergeable"] is not None or it["state"] == "closed")
        return self.api("gate", "PUT", f"pulls/{number}/merge", wanted)

    def approve(self, number: int, head: str) -> httpx.Response:
        return self.api("reviewer", "POST", f"pulls/{number}/reviews", {"event": "APPROVE", "commit_id": head})

    def ruleset(self, rules: list[dict[str, Any]], include: str = "~DEFAULT_BRANCH", **more: object) -> dict[str, Any]:
        """An active ruleset, removed when the case ends."""
        body = {
            "name": f"contract {self.case} {len(self.made)}",
            "enforcement": "active",
            "target": "branch",
            "conditions": {"ref_name": {"include": [include], "exclude": []}},
            "rules": rules,
            **more,
        }
        answer = self.api("admin", "POST", "rulesets", body)
        assert answer.status_code == 201, answer.text
        self.made.append(("admin", f"rulesets/{answer.json()['id']}"))
        return answer.json()

    def git(self, role: Role, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """The git command line, signed in by its environment."""
        token = self.tokens.get(role)
        if token is None:
            pytest.skip("needs a second identity: ELF_CONTRACT_GITHUB_REVIEWER_TOKEN")
        secret = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        options = {
            "http.extraHeader": f"Authorization: Basic {secret}",
            "user.name": "contract",
            "user.email": "contract@elf.local",
            "init.defaultBranch": "main",
        }
        numbered = {"GIT_CONFIG_COUNT": str(len(options))}
        for index, (key, value) in enumerate(options.items()):
            numbered |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
        surroundings = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
        return subprocess.run(
            ["git", "-C", str(folder or self.folder), *arguments],
            env={**surroundings, **numbered},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def clone(self) -> Path:
        into = self.folder / "clone"
        done = self.git("author", "clone", "--quiet", self.git_url, str(into))
        assert done.returncode == 0, done.stderr
        return into

    def clean_up(self) -> None:
        """Leave the repository without what this case made; merged commits stay."""
        for role, path in reversed(self.made):
            self.api(role, "DELETE", path)
        for ref in self.api("author", "GET", f"git/matching-refs/heads/auto/contract/{self.case}/").json():
            self.api("author", "DELETE", f"git/{ref['ref']}")


class OnTheForge(Place):
    """The embedded forge. A push is written straight into its repository, as a push of git's would leave it."""

    root: Path

    def push(self, branch: str, files: Files, onto: str | None = "main") -> str:
        repository = Repository(self.root / f"{self.repo}.git")
        tip = repository.resolve(onto) if onto else None
        who = Signature("elf-devops", "elf-devops@elf.local")
        tree = repository.write_tree(tip, files)
        commit = repository.commit_tree(tree, [tip] if tip else [], f"Contract {branch}\n", who, datetime.now(UTC))
        repository.update_refs([RefUpdate(f"refs/heads/{branch}", commit, ANY)], login="elf-devops")
        return commit


class OverHttp(Place):
    """GitHub, or whatever else answers alike: pushes are pushes."""

    def push(self, branch: str, files: Files, onto: str | None = "main") -> str:
        local = self.folder / "local.git"
        if not local.exists():
            self.git("author", "init", "--quiet", "--bare", str(local))
        start = f"+refs/heads/{onto or 'main'}:refs/heads/onto"
        done = self.git("author", "fetch", "--quiet", self.git_url, start, folder=local)
        assert done.returncode == 0, done.stderr
        repository = Repository(local)
        tip = repository.resolve("refs/heads/onto") if onto else None
        who = Signature("contract", "contract@elf.local")
        tree = repository.write_tree(tip, files)
        commit = repository.commit_tree(tree, [tip] if tip else [], f"Contract {branch}\n", who, datetime.now(UTC))
        done = self.git("author", "push", "--quiet", self.git_url, f"+{commit}:refs/heads/{branch}", folder=local)
        assert done.returncode == 0, done.stderr
        return commit
