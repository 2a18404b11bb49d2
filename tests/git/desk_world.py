"""A company's repository with its law, a real forge over it, a desk and a proposer; the factory is a small one."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from mcp_servers.checks.secret_scan import SecretScanner
from mcp_servers.factories.spec_files import dump_spec, load_spec
from mcp_servers.git.changes import Change
from mcp_servers.git.checking import Folder
from mcp_servers.git.factory import Zone
from mcp_servers.git.forge import GATE, PERSON, PROPOSER, Identity, bare_path, create_forge, seed, token_sha256
from mcp_servers.git.github import Account, GitHubChanges
from mcp_servers.git.inspection import Inspector
from mcp_servers.git.merge_desk import MergeDesk
from mcp_servers.git.objects import Signature
from mcp_servers.git.proposer import Proposer
from mcp_servers.git.repository import Repository
from memory.session import Database
from policies import law
from policies.facts import CheckRun
from teams.spec import TeamSpec

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
RIGHTS = {"elf-devops": PROPOSER, "elf-gate": GATE, "owner": PERSON, "second": PERSON}
WHO = Signature("elf-devops", "elf-devops@elf.local")
OWN_SECRET = "wx7-key+of/the=company-41"
LEAD, OWNER = "devops/delivery-lead", "person:owner"


@dataclass
class Clock:
    at: datetime = START

    def __call__(self) -> datetime:
        return self.at

    def tick(self, **passed: float) -> None:
        self.at += timedelta(**passed)


@dataclass
class CheckedAtOnce:
    """Stands in for the sandbox: knows at once what comes of every folder."""

    run: CheckRun = field(default_factory=lambda: CheckRun(state="passed", said="linted, typed, tested"))
    finished: int = 0
    asked: list[tuple[int, Folder]] = field(default_factory=list[tuple[int, Folder]])

    def ask(self, number: int, folder: Folder) -> CheckRun:
        self.asked.append((number, folder))
        return self.run

    def wait(self, seconds: float) -> None:
        pass

    def forget(self, number: int) -> None:
        self.asked = [(asker, folder) for asker, folder in self.asked if asker != number]


def inspector_of(repository: Repository, checks: CheckedAtOnce | None = None) -> Inspector:
    scanner = SecretScanner(lambda: {"key of the test": OWN_SECRET})
    return Inspector(repository, scanner, checks or CheckedAtOnce())


@dataclass
class SmallFactory:
    """Renders three files and more; `month` is its forecast in micro-dollars, `broken` makes it fail."""

    month: int | None = 300_000_000
    broken: bool = False

    def load(self, text: bytes) -> TeamSpec:
        return load_spec(text)

    def render(self, spec: TeamSpec, zone: Zone) -> Mapping[str, bytes]:
        if self.broken:
            raise RuntimeError("the templates are gone")
        agents = {f"agents/{it.name.replace('-', '_')}.py": f"NAME = {it.name!r}\n".encode() for it in spec.members}
        about = f"# {spec.name} in {zone}\n\n{spec.purpose}\n".encode()
        return {"team.yaml": dump_spec(spec).encode(), "README.md": about, **agents}

    def forecast(self, spec: TeamSpec) -> int | None:
        return self.month


def spec_data(name: str = "marketing-team", **changes: Any) -> dict[str, Any]:
    member = {"goal": "Do the work.", "backstory": "Has done it before."}
    data: dict[str, Any] = {
        "name": name,
        "purpose": "Write about the company",
        "description": "Writes blog posts and looks after social media.",
        "placement": "marketing.content",
        "framework": "crewai",
        "members": [
            {"name": "editor", "role": "Editor", "manager": True, **member},
            {"name": "writer", "role": "Writer", **member},
            {"name": "reader", "role": "Reader", **member},
        ],
        "work": [{"name": "post", "member": "writer", "description": "Write.", "expected_output": "A post."}],
    }
    return data | changes


def team_files(name: str = "marketing-team", zone: Zone = "teams", **changes: Any) -> dict[str, bytes]:
    """The folder that the small factory makes, by path in the repository."""
    spec = TeamSpec.model_validate(spec_data(name, **changes))
    return {f"{zone}/{spec.folder}/{path}": data for path, data in SmallFactory().render(spec, zone).items()}


def seed_files() -> dict[str, bytes]:
    policies = {f"policies/{path.name}": path.read_bytes() for path in Path(law.__file__).parent.glob("*.yaml")}
    law_code = {"policies/law.py": b"# what the law is read with\n"}
    return {"README.md": b"# A company\n", "teams/__init__.py": b"", "teams/spec.py": b"", **policies, **law_code}


def seeded(root: Path, more: Mapping[str, bytes] | None = None) -> Repository:
    files = {**seed_files(), **(more or {})}
    return seed(root, "elf", "company", files, {}, Signature("owner", "owner@elf.local"), START, "The company begins\n")


@dataclass
class World:
    """Everything a desk works with; `restart` forgets what was only in memory."""

    root: Path
    port: int
    database: Database
    clock: Clock = field(default_factory=Clock)
    factory: SmallFactory = field(default_factory=SmallFactory)
    checks: Any = field(default_factory=lambda: CheckedAtOnce())
    made: list[GitHubChanges] = field(default_factory=list[GitHubChanges])

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, gate: Any = None, proposer: Any = None) -> None:
        people = {login: self.changes(login) for login in ("owner", "second")}
        self.gate: Any = gate or self.changes("elf-gate")
        self.desk = MergeDesk(
            self.gate,
            self.repository,
            self.database,
            self.factory,
            self.clock,
            people=people,
            inspector=inspector_of(self.repository, self.checks),
        )
        bot = proposer or self.changes("elf-devops")
        self.proposer = Proposer(bot, self.desk, self.repository, self.database, self.factory, self.clock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/forge"

    @property
    def repository(self) -> Repository:
        path = bare_path(self.root, "elf", "company")
        assert path is not None
        return Repository(path)

    def changes(self, login: str) -> GitHubChanges:
        git_url = f"{self.url}/git/elf/company.git"
        made = GitHubChanges(
            Account(f"{self.url}/api/v3", git_url, "elf/company", login, f"token-of-{login}"), self.clock
        )
        self.made.append(made)
        return made

    def propose(self, name: str = "marketing-team", key: str = "", **changes: Any) -> Change:
        """A new team, the way the DevOps team asks for it."""
        spec = spec_data(name, **changes)
        return self.proposer.propose_team(
            spec, "Nobody writes.", "No team covers it.", key or f"wish-{name}", LEAD, OWNER
        ).change

    def head(self, number: int) -> str:
        return self.gate.get(number).head

    def main(self) -> str:
        return self.repository.resolve("main")

    def commit_to(self, branch: str, files: Mapping[str, bytes | None], modes: Mapping[str, str] | None = None) -> str:
        """A commit put on a branch behind everybody's back (made from main if it is new)."""
        ref = f"refs/heads/{branch}"
        old = self.repository.refs(ref).get(ref)
        tree = self.repository.write_tree(old or self.main(), files, modes)
        commit = self.repository.commit_tree(tree, [old or self.main()], "By hand\n", WHO, self.clock.at)
        self.repository.update_ref(ref, commit, old)
        return commit


class Server(threading.Thread):
    """A real uvicorn on a loopback port, whose app can be exchanged between tests."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.port = int(self.sock.getsockname()[1])
        self.app = FastAPI()
        config = uvicorn.Config(
            self._serve, interface="asgi3", log_level="error", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    def run(self) -> None:
        self._server.run(sockets=[self.sock])

    def stop(self) -> None:
        self._server.should_exit = True
        self.join(timeout=10)
        self.sock.close()


@contextmanager
def running_server() -> Generator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


@contextmanager
def running_world(tmp_path: Path, server: Server, database: Database, template: Path) -> Generator[World]:
    """A world over a copy of the seeded `template` repository, its forge on the server's port."""
    root = tmp_path / "forge"
    shutil.copytree(template, root)
    clock = Clock()
    identities = [Identity(login, token_sha256(f"token-of-{login}"), may) for login, may in RIGHTS.items()]
    server.app = FastAPI()
    server.app.mount("/forge", create_forge(root, identities, f"http://127.0.0.1:{server.port}/forge", clock))
    world = World(root, server.port, database, clock)
    yield world
    for it in world.made:
        it.close()
