"""A gateway and teams on it."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import teams
from mcp_servers.factories.fileset import write
from mcp_servers.factories.team import render
from teams.runtime.deployment import Deployment
from teams.runtime.server import create_app
from teams.spec import TeamSpec
from tests.runtime import standin as gateway

INBOUND = "the gateway's own token for this team"


@pytest.fixture(scope="session")
def standin_server() -> Iterator[gateway.StandIn]:
    standin = gateway.StandIn()
    with gateway.serving(gateway.create_app(standin)) as url:
        standin.url = url
        yield standin


@pytest.fixture
def standin(standin_server: gateway.StandIn) -> gateway.StandIn:
    standin_server.forget()
    return standin_server


def deploy(spec: TeamSpec, home: Path, gateway_url: str) -> Deployment:
    """The team's rendered files in a source folder, and what its process is told."""
    write(render(spec), home / "source" / "teams" / spec.folder)
    for folder in ("work", "told"):
        (home / folder).mkdir(exist_ok=True)
    return Deployment(
        deployment_id="d-1",
        team=spec.name,
        tree="0" * 40,
        package=f"teams.{spec.folder}",
        source=str(home / "source"),
        gateway_url=gateway_url,
        member_tokens={member.name: f"token-{member.name}" for member in spec.members},
        inbound_token_sha256=hashlib.sha256(INBOUND.encode()).hexdigest(),
        work_dir=str(home / "work"),
        told_dir=str(home / "told"),
    )


@dataclass(frozen=True)
class Running:
    """A team that runs, and a client that shows its token."""

    url: str
    client: httpx.Client

    def health(self) -> dict[str, Any]:
        return httpx.get(f"{self.url}/health").json()

    def settled(self, within: float = 20.0) -> dict[str, Any]:
        """The health once it is decided."""
        end = time.monotonic() + within
        while (health := self.health())["status"] == "starting":
            assert time.monotonic() < end, health
            time.sleep(0.01)
        return health

    def send(self, text: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
        """The task (JSON) that answers an A2A message, sent as the gateway does for the owner."""
        parts: list[dict[str, Any]] = [{"text": text}, *([{"data": data}] if data else [])]
        message = {"role": "ROLE_USER", "messageId": "m-1", "parts": parts}
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        answer = self.client.post(
            "/a2a", json=body, headers={"A2A-Version": "1.0", "X-Elf-Caller": "person:owner"}
        ).json()
        return answer["result"]["task"]


Runs = Callable[[Deployment], AbstractContextManager[Running]]


@contextmanager
def packages_forgotten() -> Generator[None]:
    """Makes this process forget the packages of the teams that it runs meanwhile."""
    path, modules = list(teams.__path__), set(sys.modules)
    try:
        yield
    finally:
        teams.__path__[:] = path
        for name in set(sys.modules) - modules:
            if name.startswith("teams.") and not name.startswith("teams.runtime"):
                del sys.modules[name]


@pytest.fixture
def runs() -> Iterator[Runs]:
    """Runs a deployment in this process."""

    @contextmanager
    def run(deployment: Deployment) -> Generator[Running]:
        with (
            gateway.serving(create_app(deployment)) as url,
            httpx.Client(base_url=url, headers={"Authorization": f"Bearer {INBOUND}"}, timeout=30) as client,
        ):
            yield Running(url, client)

    with packages_forgotten():
        yield run
