"""The contract's place: the embedded forge always, and real GitHub when a token and a scratch repository are given.

    ELF_CONTRACT_GITHUB_TOKEN=… ELF_CONTRACT_GITHUB_REPO=owner/scratch .venv/bin/python -m pytest tests/git/contract

`ELF_CONTRACT_GITHUB_REVIEWER_TOKEN` is a second identity with write access, for reviews: without it the cases that need one are
skipped. `…_GATE_TOKEN` and `…_ADMIN_TOKEN` are for who merges and who looks after the repository, if others.
`ELF_CONTRACT_GITHUB_API` and `ELF_CONTRACT_GITHUB_GIT` name another server that answers alike (an Enterprise Server, a running
company). The repository needs a branch `main`; what a case makes there it removes, but for what it merged.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from pytest_socket import socket_allow_hosts

from mcp_servers.git.forge import GATE, PERSON, PROPOSER, Identity, Limits, create_forge, token_sha256
from tests.git.conftest import Loopback
from tests.git.contract.description import Description
from tests.git.contract.place import OnTheForge, OverHttp, Place

ROLES = {"author": "elf-devops", "reviewer": "owner", "gate": "elf-gate", "admin": "owner"}
RIGHTS = {"elf-devops": PROPOSER, "elf-gate": GATE, "owner": PERSON}
_GIVEN = os.environ.get("ELF_CONTRACT_GITHUB_TOKEN") and os.environ.get("ELF_CONTRACT_GITHUB_REPO")


@dataclass(frozen=True)
class Served:
    """A forge that serves the whole module: its folder and where it is."""

    root: Path
    url: str


@pytest.fixture(scope="session")
def description() -> Description | None:
    path = os.environ.get("ELF_CONTRACT_OPENAPI")
    return Description(Path(path)) if path else None


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, loopback: Loopback) -> Served:
    root = tmp_path_factory.mktemp("contract")
    url = f"http://127.0.0.1:{loopback.port}/forge"
    identities = [Identity(login, token_sha256(f"token-of-{login}"), may) for login, may in RIGHTS.items()]
    forge = create_forge(root, identities, url, lambda: datetime.now(UTC), Limits(5000))
    app = FastAPI()
    app.mount("/forge", forge)
    loopback.app = app
    return Served(root, url)


@pytest.fixture(params=["forge", *(["github"] if _GIVEN else [])])
def place(
    request: pytest.FixtureRequest,
    served: Served,
    seeded: Path,
    http_client: httpx.Client,
    tmp_path: Path,
    description: Description | None,
) -> Iterator[Place]:
    if request.param == "github":
        made = over_http(http_client, tmp_path, description)
        yield made
        made.clean_up()
        return
    name = f"r{abs(hash(request.node.name)) % 10**12}"
    shutil.copytree(seeded / "elf" / "company.git", served.root / "elf" / f"{name}.git")
    tokens = {role: f"token-of-{login}" for role, login in ROLES.items()}
    api, git = f"{served.url}/api/v3", f"{served.url}/git/elf/{name}.git"
    made = OnTheForge(http_client, api, git, f"elf/{name}", tokens, tmp_path, description)
    made.root = served.root
    yield made


def over_http(client: httpx.Client, folder: Path, description: Description | None) -> OverHttp:
    """The place that the environment names; its addresses, and no others, may then be reached beside this machine."""
    given = os.environ
    repo, token = given["ELF_CONTRACT_GITHUB_REPO"], given["ELF_CONTRACT_GITHUB_TOKEN"]
    api = given.get("ELF_CONTRACT_GITHUB_API", "https://api.github.com")
    git = given.get("ELF_CONTRACT_GITHUB_GIT", f"https://github.com/{repo}.git")
    others = {role: given.get(f"ELF_CONTRACT_GITHUB_{role.upper()}_TOKEN") for role in ("gate", "admin", "reviewer")}
    tokens = {"author": token, "gate": token, "admin": token, **{role: it for role, it in others.items() if it}}
    allowed = {str(entry[4][0]) for url in (api, git) for entry in socket.getaddrinfo(urlsplit(url).hostname, None)}
    socket_allow_hosts(["127.0.0.1", "::1", "localhost", *sorted(allowed)], allow_unix_socket=True)
    return OverHttp(client, api, git, repo, tokens, folder, description)
