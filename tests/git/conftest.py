"""A forge as it is in production: the real app on a loopback port, a real repository, the real git client."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_servers.git.changes import Proposal
from mcp_servers.git.forge import GATE, PERSON, PROPOSER, Identity, bare_path, create_forge, seed, token_sha256
from mcp_servers.git.github import Account, GitHubChanges
from mcp_servers.git.objects import Signature
from mcp_servers.git.repository import Repository
from memory.session import Database
from tests.git.desk_world import Server, World, running_server, running_world

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
RIGHTS = {"elf-devops": PROPOSER, "elf-gate": GATE, "owner": PERSON, "other-bot": PROPOSER}
SEED = {"README.md": b"# A company\n", "teams/__init__.py": b"", "policies/limits.yaml": b"new_teams_a_day: 5\n"}


@dataclass
class Forge:
    """A running forge and the ways into it."""

    root: Path
    port: int
    client: httpx.Client
    changes_made: list[GitHubChanges] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/forge"

    @property
    def git_url(self) -> str:
        return f"{self.url}/git/elf/company.git"

    @property
    def bare(self) -> Path:
        path = bare_path(self.root, "elf", "company")
        assert path is not None
        return path

    @property
    def repository(self) -> Repository:
        return Repository(self.bare)

    def token(self, login: str) -> str:
        return f"token-of-{login}"

    def changes(self, login: str) -> GitHubChanges:
        account = Account(f"{self.url}/api/v3", self.git_url, "elf/company", login, self.token(login))
        made = GitHubChanges(account, lambda: START + timedelta(minutes=1))
        self.changes_made.append(made)
        return made

    def api(
        self, login: str | None, method: str, path: str, json: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """One raw REST request below the repository (or, with a leading slash, below the API)."""
        given = {"Authorization": f"token {self.token(login)}"} if login else {}
        below = path if path.startswith("/") else f"/repos/elf/company/{path}"
        return self.client.request(method, f"{self.url}/api/v3{below}", json=json, headers={**given, **(headers or {})})

    def git(
        self, login: str | None, folder: Path, *arguments: str, token: str | None = None, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """The git command line in `folder`, signed in as `login` without the token in its arguments."""
        options = {"user.name": login or "nobody", "user.email": f"{login or 'nobody'}@elf.local", **settings}
        if login:
            secret = base64.b64encode(f"{login}:{token or self.token(login)}".encode()).decode()
            options["http.extraHeader"] = f"Authorization: Basic {secret}"
        numbered = {"GIT_CONFIG_COUNT": str(len(options))}
        for index, (key, value) in enumerate(options.items()):
            numbered |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.root), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env={**environment, **numbered},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def clone(self, login: str, into: Path) -> Path:
        done = self.git(login, self.root, "clone", "--quiet", self.git_url, str(into))
        assert done.returncode == 0, done.stderr
        return into


class Loopback(threading.Thread):
    """A real uvicorn in a thread, on a loopback socket of its own; what it serves can be exchanged."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.port: int = self.sock.getsockname()[1]
        self.app: ASGIApp = FastAPI()
        config = uvicorn.Config(
            self._dispatch, interface="asgi3", log_level="error", lifespan="off", timeout_graceful_shutdown=2
        )
        self.server = uvicorn.Server(config)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    def run(self) -> None:
        self.server.run(sockets=[self.sock])

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 10
        while not self.server.started:
            assert time.monotonic() < deadline, "uvicorn did not start"
            time.sleep(0.005)

    def stop(self) -> None:
        self.server.should_exit = True
        self.join(timeout=10)
        self.sock.close()


@pytest.fixture(scope="session")
def loopback() -> Iterator[Loopback]:
    server = Loopback()
    server.start()
    server.wait_until_ready()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def http_client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=20) as client:
        yield client


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forge's folder as a seed leaves it, to be copied."""
    root = tmp_path_factory.mktemp("seeded")
    seed(root, "elf", "company", SEED, {}, Signature("owner", "owner@elf.local"), START, "The company begins\n")
    return root


@pytest.fixture
def forge(tmp_path: Path, seeded: Path, loopback: Loopback, http_client: httpx.Client) -> Iterator[Forge]:
    """A seeded forge with the three identities of a company, and a second proposer."""
    made = Forge(tmp_path / "forge", loopback.port, http_client)
    shutil.copytree(seeded, made.root)
    identities = [Identity(login, token_sha256(made.token(login)), may) for login, may in RIGHTS.items()]
    app = FastAPI()
    app.mount("/forge", create_forge(made.root, identities, made.url, lambda: START))
    loopback.app = app
    yield made
    for changes in made.changes_made:
        changes.close()


def proposal_of(name: str = "marketing", **files: bytes) -> Proposal:
    """A proposal of one small team folder on a branch of its own."""
    return Proposal(
        branch=f"auto/new-team/{name}-0a1b2c3d",
        title=f"New team: {name}",
        body="Because nobody can do it yet.",
        labels=("automated", "new-team", "needs-review"),
        files={f"teams/{name}/{path}": data for path, data in (files or {"README.md": b"# Hello\n"}).items()},
        message=f"Add the team {name}\n",
    )


@pytest.fixture
def proposal() -> Callable[..., Proposal]:
    return proposal_of


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Where a module's desks find their forges."""
    with running_server() as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, server: Server, sqlite: Database, template: Path) -> Iterator[World]:
    """A desk and its forge, begun as the module's `template` has it."""
    with running_world(tmp_path, server, sqlite, template) as made:
        yield made
