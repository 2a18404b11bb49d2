"""Where the company's repository is, and as whom one speaks to it."""

from __future__ import annotations

from bootstrap.home import Home
from bootstrap.settings import Settings
from mcp_servers.git.github import Account

OWNER, REPO = "elf", "company"


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
