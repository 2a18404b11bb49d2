"""Who the company's two hands on GitHub are: from a token or an App's key to a checked identity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bootstrap.client import CompanyError
from bootstrap.settings import GitHubGiven
from mcp_servers.git.changes import ChangesError
from mcp_servers.git.github import Account
from mcp_servers.git.github_api import GitHubApi
from mcp_servers.git.github_apps import App, AppClient
from mcp_servers.git.github_rights import Rights, Role, granted, probed, problems
from mcp_servers.git.github_setup import Who

#: Asks a person for a secret, by what it is for, without showing it.
Ask = Callable[[str], str]


@dataclass(frozen=True)
class Identified:
    """An identity and its key (a token, or an App's private key)."""

    who: Who
    rights: Rights
    key: str = field(repr=False)
    installation: int | None = None


def identify(given: GitHubGiven, repo: str, role: Role, ask: Ask, now: Callable[[], datetime]) -> Identified:
    """The role's identity, from the environment or asked for, and what it may do there. Raises `CompanyError`."""
    app = given.proposer_app if role == "proposer" else given.gate_app
    try:
        if app is not None:
            return _app(given, repo, *app, now)
        token = given.proposer_token if role == "proposer" else given.gate_token
        return _token(given, repo, token or ask(f"the {role}'s token"), now)
    except ChangesError as error:
        raise CompanyError(f"the {role} cannot be used at {repo}: {error}") from error


def signed_in(given: GitHubGiven, repo: str, token: str) -> Account:
    """The account of a token; GitHub says whose it is."""
    return Account(given.api_url, f"{given.git_url}/{repo}.git", repo, "", token)


def login_of(api: GitHubApi) -> Who:
    me = api.ask("GET", "/user")
    return Who(str(me["login"]), int(me["id"]))


def clashes(proposer: Identified, gate: Identified, people: Sequence[str]) -> list[str]:
    """Why these identities cannot be a company's: each power has to be somebody else's."""
    wrong = [
        *(f"proposer ({proposer.who.login}): {why}" for why in problems("proposer", proposer.rights)),
        *(f"gate ({gate.who.login}): {why}" for why in problems("gate", gate.rights)),
    ]
    folded = {name.casefold() for name in people}
    if proposer.who.login.casefold() == gate.who.login.casefold():
        wrong.append(
            f"proposer and gate are both {gate.who.login}: who proposes could then say yes; use two identities"
        )
    for role, one in (("proposer", proposer), ("gate", gate)):
        if one.who.login.casefold() in folded:
            wrong.append(
                f"the {role} is {one.who.login}, a person: GitHub lets nobody approve what is opened in their own name; "
                f"give the {role} an App or an account of its own"
            )
    return wrong


def _app(given: GitHubGiven, repo: str, number: int, file: Path, now: Callable[[], datetime]) -> Identified:
    try:
        key = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CompanyError(
            f"the App's private key {file} cannot be read; give the PEM file that GitHub made"
        ) from error
    client = AppClient(given.api_url, App(number, key))
    found = client.installation(repo)
    token, _ = client.token(found.id, repo)
    api = GitHubApi(signed_in(given, repo, token), now)
    try:
        account = api.ask("GET", f"/users/{found.login}")
    finally:
        api.close()
    return Identified(Who(found.login, int(account["id"]), found.app_id), granted(found.permissions), key, found.id)


def _token(given: GitHubGiven, repo: str, token: str, now: Callable[[], datetime]) -> Identified:
    api = GitHubApi(signed_in(given, repo, token), now)
    try:
        return Identified(login_of(api), probed(api), token)
    finally:
        api.close()
