"""Where the company's repository is, and as whom one speaks to it: the embedded forge, or GitHub once it is connected."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter

from bootstrap.home import Home, HomeUnusable
from bootstrap.settings import Settings
from mcp_servers.git.forge import bare_path
from mcp_servers.git.github import Account
from mcp_servers.git.github_apps import App, AppClient, InstallationToken
from mcp_servers.git.github_setup import Wanted, Who

OWNER, REPO = "elf", "company"
PROPOSER_KEY, GATE_KEY, HOOK_KEY = "github-proposer", "github-gate", "github-webhook"


def account_of(settings: Settings, home: Home, login: str) -> Account:
    """The account of one of the forge's three logins: elf-devops, elf-gate, owner."""
    return Account(
        api_url=f"{settings.address}/forge/api/v3",
        git_url=f"{settings.address}/forge/git/{OWNER}/{REPO}.git",
        repo=f"{OWNER}/{REPO}",
        login=login,
        token=home.key(f"forge-{login}"),
        writes_a_minute=None,
    )


@dataclass(frozen=True)
class Connection:
    """The repository on GitHub that this company is kept in. No secret is in it; those are keys of the home."""

    repo: str
    api_url: str
    #: Of the site: `https://github.com`.
    site_url: str
    proposer: Who
    gate: Who
    people: tuple[str, ...]
    hook_url: str = ""
    #: Where the Apps are installed, for those that are Apps.
    proposer_installation: int | None = None
    gate_installation: int | None = None

    @property
    def git_url(self) -> str:
        return f"{self.site_url}/{self.repo}.git"

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.repo, self.proposer, self.gate, self.people, self.hook_url)

    def proposer_account(self, home: Home, now: Callable[[], datetime]) -> Account:
        return self.account(self.proposer, self.proposer_installation, home.key(PROPOSER_KEY), now)

    def gate_account(self, home: Home, now: Callable[[], datetime]) -> Account:
        return self.account(self.gate, self.gate_installation, home.key(GATE_KEY), now)

    def account(self, who: Who, installation: int | None, key: str, now: Callable[[], datetime]) -> Account:
        """`key` is a token or, for an App, its private key."""
        renewed = None
        if who.app_id is not None and installation is not None:
            client = AppClient(self.api_url, App(who.app_id, key))
            renewed = InstallationToken(client, installation, self.repo, now)
        return Account(
            api_url=self.api_url,
            git_url=self.git_url,
            repo=self.repo,
            login=who.login,
            token="" if renewed else key,
            email=f"{who.id}+{who.login}@users.noreply.github.com",
            renewed=renewed,
        )

    def page(self, number: int) -> str:
        return f"{self.site_url}/{self.repo}/pull/{number}"

    def save(self, home: Home) -> None:
        """From then on the company is kept there."""
        scratch = _file(home).with_suffix(".new")
        scratch.write_text(json.dumps(asdict(self), indent=2))
        scratch.chmod(0o600)
        scratch.replace(_file(home))


def connection_of(home: Home) -> Connection | None:
    """The connection that was made, or None: then the embedded forge keeps the company. `HomeUnusable` if it is damaged."""
    try:
        return TypeAdapter(Connection).validate_json(_file(home).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise HomeUnusable(f"{_file(home)} is damaged: remove it and run ./elf github connect again") from error


def mirror_path(home: Home, repo: str) -> Path:
    """Where GitHub's branches are kept on this machine."""
    return home.path / "github" / f"{repo}.git"


def repository_path(home: Home) -> Path:
    """The bare repository in which the company's facts are read: GitHub's mirror, or the embedded forge's own."""
    if connection := connection_of(home):
        return mirror_path(home, connection.repo)
    path = bare_path(home.forge, OWNER, REPO)
    assert path is not None
    return path


def _file(home: Home) -> Path:
    return home.path / "github.json"
