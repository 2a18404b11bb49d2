"""`./elf github doctor`: is the repository still as it was set up? Each finding with its fix; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from bootstrap.client import CompanyError
from bootstrap.github_connect import notes, workflow_of
from bootstrap.github_identities import signed_in
from bootstrap.home import Home, HomeUnusable
from bootstrap.places import GATE_KEY, PROPOSER_KEY, Connection, connection_of
from bootstrap.settings import Settings
from mcp_servers.git.changes import ChangesError
from mcp_servers.git.github import Account
from mcp_servers.git.github_api import GitHubApi
from mcp_servers.git.github_apps import App, AppClient
from mcp_servers.git.github_look import look
from mcp_servers.git.github_rights import Role, granted, probed, problems, readers, untold
from mcp_servers.git.github_setup import Found, Who, plan

Level = Literal["ok", "note", "wrong"]
Finding = dict[str, str]


def examine(settings: Settings, home: Home, now: Callable[[], datetime]) -> dict[str, Any]:
    """`{ok, repo, findings: [{what, level, text, fix}]}`; `ok` is False where a finding is wrong. Raises `CompanyError`."""
    connection = connection_of(home)
    if connection is None:
        raise CompanyError(
            "this company is kept by the embedded forge; ./elf github connect OWNER/NAME takes it to GitHub"
        )
    findings = [
        *_identity(home, connection, "proposer", now),
        *_identity(home, connection, "gate", now),
        *_same(connection),
        *_place(settings, home, connection, now),
        *(_finding("note", "worth knowing", text, "") for text in notes(connection)),
    ]
    return {
        "ok": all(finding["level"] != "wrong" for finding in findings),
        "repo": connection.repo,
        "findings": findings,
    }


def _identity(home: Home, connection: Connection, role: Role, now: Callable[[], datetime]) -> list[Finding]:
    """Whether the key still is that identity's, and its rights are what they were."""
    who = connection.proposer if role == "proposer" else connection.gate
    again = f"./elf github connect {connection.repo}, with the {role}'s right key"
    try:
        login, rights = _now_is(home, connection, role, who, now)
    except (ChangesError, HomeUnusable) as error:
        return [_finding("wrong", role, f"its key cannot be used: {error}", again)]
    found: list[Finding] = []
    if login.casefold() != who.login.casefold():
        found.append(_finding("wrong", role, f"its key is {login}'s by now, not {who.login}'s", again))
    fix = f"on GitHub, in the settings of {who.login}'s App or token: change that permission"
    found += [_finding("wrong", role, why, fix) for why in problems(role, rights)]
    if unknown := untold(role, rights):
        found.append(
            _finding("note", role, f"nobody can tell whether it has: {', '.join(unknown)}", "look at it on GitHub")
        )
    if not any(one["level"] == "wrong" for one in found):
        found.append(_finding("ok", role, f"{login} may do what it has to, and not more", ""))
    return found


def _now_is(home: Home, connection: Connection, role: Role, who: Who, now: Callable[[], datetime]) -> tuple[str, Any]:
    key = home.key(PROPOSER_KEY if role == "proposer" else GATE_KEY)
    if who.app_id is not None:
        found = AppClient(connection.api_url, App(who.app_id, key)).installation(connection.repo)
        return found.login, granted(found.permissions)
    api = GitHubApi(_account(home, connection, role, now), now)
    try:
        return str(api.ask("GET", "/user")["login"]), probed(api)
    finally:
        api.close()


def _same(connection: Connection) -> list[Finding]:
    """One power in two hands of the same body."""
    found: list[Finding] = []
    if connection.proposer.login.casefold() == connection.gate.login.casefold():
        text = f"proposer and gate are both {connection.gate.login}: who proposes can say yes"
        found.append(_finding("wrong", "identities", text, "connect again with two identities"))
    folded = {name.casefold() for name in connection.people}
    for role, who in (("proposer", connection.proposer), ("gate", connection.gate)):
        if who.login.casefold() in folded:
            text = f"the {role} is {who.login}, a person: they would be the author of what they must approve"
            found.append(_finding("wrong", "identities", text, f"give the {role} an App or an account of its own"))
    return found


def _place(settings: Settings, home: Home, connection: Connection, now: Callable[[], datetime]) -> list[Finding]:
    """What a new connection would have to do, and what could not be looked at."""
    given = settings.github
    account = (
        signed_in(given, connection.repo, given.setup_token)
        if given.setup_token
        else _account(home, connection, "gate", now)
    )
    api = GitHubApi(account, now)
    try:
        found = look(api, workflow_of(settings))
        cannot = readers(api, connection.people)
    except (ChangesError, HomeUnusable) as error:
        return [_finding("wrong", "repository", str(error), "look whether it is there and its tokens still last")]
    finally:
        api.close()
    fix = f"./elf github connect {connection.repo} puts it right (--dry-run shows how)"
    wrong = [
        _finding("wrong", action.what.removeprefix("make the "), action.why, fix)
        for action in plan(found, connection.wanted)
    ]
    wrong += [_finding("wrong", "people", text, "on GitHub: Settings, Collaborators") for text in cannot]
    return [*wrong, *_unseen(found, connection)] or [_finding("ok", "repository", "as it was set up", "")]


def _unseen(found: Found, connection: Connection) -> list[Finding]:
    see = "ELF_GITHUB_SETUP_TOKEN=<your own token> ./elf github doctor"
    unseen = ["who may pass by the rulesets"] if any("bypass_actors" not in it for it in found.rulesets) else []
    unseen += ["the webhook"] if found.hooks is None and connection.hook_url else []
    if not unseen:
        return []
    return [_finding("note", "not looked at", f"{' and '.join(unseen)}: the gate's own token may not see that", see)]


def _account(home: Home, connection: Connection, role: Role, now: Callable[[], datetime]) -> Account:
    return connection.proposer_account(home, now) if role == "proposer" else connection.gate_account(home, now)


def _finding(level: Level, what: str, text: str, fix: str) -> Finding:
    return {"level": level, "what": what, "text": text, "fix": fix}
