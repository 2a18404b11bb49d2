"""`./elf github connect`: makes a repository on GitHub the company's, or says first what it would do.

What is there is read, a plan follows from it, and the plan is carried out. Repeated, it finds nothing left to do.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from bootstrap.client import CompanyError
from bootstrap.github_identities import Ask, Identified, clashes, identify, login_of, signed_in
from bootstrap.home import Home, HomeUnusable
from bootstrap.places import (
    GATE_KEY,
    HOOK_KEY,
    OWNER,
    PROPOSER_KEY,
    REPO,
    Connection,
    connection_of,
    mirror_path,
)
from bootstrap.seed import files_of
from bootstrap.settings import Settings
from mcp_servers.git.changes import ChangesError, Proposal
from mcp_servers.git.first_push import FirstPush, push_first
from mcp_servers.git.forge import bare_path
from mcp_servers.git.github import GitHubChanges
from mcp_servers.git.github_api import GitHubApi
from mcp_servers.git.github_look import carry_out, file_at_main, look
from mcp_servers.git.github_rights import readers
from mcp_servers.git.github_setup import (
    CODEOWNERS_FILE,
    LAW_FILE,
    OVERRIDES_FILE,
    WORKFLOW_FILE,
    Action,
    Found,
    codeowners,
    law_naming,
    plan,
)
from mcp_servers.git.mirror import Mirror
from mcp_servers.git.objects import UnknownRevision
from mcp_servers.git.repository import Repository
from memory import change_views
from memory.migrate import version
from memory.session import Database

_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
SETUP_BRANCH = "auto/github/"


@dataclass(frozen=True)
class Asked:
    """What one call of the command is made of. `setup` administers the repository; it is used now and kept nowhere."""

    settings: Settings
    home: Home
    repo: str
    people: tuple[str, ...]
    ask: Ask
    now: Callable[[], datetime]


def connect(asked: Asked, *, dry_run: bool) -> dict[str, Any]:
    """`{ok, repo, proposer, gate, people, actions, problems, done}`. Raises `CompanyError`."""
    _check(asked)
    given = asked.settings.github
    proposer = identify(given, asked.repo, "proposer", asked.ask, asked.now)
    gate = identify(given, asked.repo, "gate", asked.ask, asked.now)
    token = given.setup_token or asked.ask("your own token, which administers the repository; it is not kept")
    api = GitHubApi(signed_in(given, asked.repo, token), asked.now)
    try:
        person = login_of(api)
        people = asked.people or given.people or (person.login,)
        connection = _connection(asked, proposer, gate, people)
        found = look(api, workflow_of(asked.settings))
        if found.main and found.law_people is None:
            raise CompanyError(
                f"{asked.repo} holds no company ({LAW_FILE} is missing or unreadable); give an empty repository"
            )
        actions = plan(_without_lost_secret(asked.home, found), connection.wanted)
        problems = [*clashes(proposer, gate, people), *readers(api, people)]
        if found.hooks is None and connection.hook_url:
            problems.append(
                "your own token may not look at webhooks; give it 'webhooks: write' and 'administration: write'"
            )
        if not problems and not dry_run:
            _carry_out(asked, api, connection, proposer, gate, actions, token)
    except ChangesError as error:
        raise CompanyError(
            f"{asked.repo}: {error}; what was done stays, and the same command goes on from there"
        ) from error
    finally:
        api.close()
    return {
        "ok": not problems,
        "repo": asked.repo,
        "proposer": proposer.who.login,
        "gate": gate.who.login,
        "people": list(people),
        "actions": [{"do": action.what, "why": action.why} for action in actions],
        "problems": problems,
        "notes": notes(connection),
        "done": not problems and not dry_run,
    }


def notes(connection: Connection) -> list[str]:
    """What is as good as it can be and worth knowing."""
    found: list[str] = []
    if connection.gate.app_id is None:
        found.append(
            "the gate is a token, so GitHub cannot pin its status to it: whoever may write statuses can say yes in its "
            "place. A GitHub App closes that"
        )
    if len(connection.people) == 1:
        found.append(
            f"{connection.people[0]} is the only person: agents' proposals can pass, but a change that "
            f"{connection.people[0]} opens waits for somebody else"
        )
    if not connection.hook_url:
        found.append("no webhook: GitHub is asked every few seconds instead (ELF_GITHUB_WEBHOOK_URL names an address)")
    return found


def workflow_of(settings: Settings) -> str | None:
    """The workflow file as this checkout has it."""
    file = settings.checkout / WORKFLOW_FILE
    return file.read_text() if file.is_file() else None


def _check(asked: Asked) -> None:
    """What makes no sense to begin with."""
    if not _REPO.fullmatch(asked.repo):
        raise CompanyError(f"'{asked.repo[:80]}' is no repository on GitHub; write OWNER/NAME")
    if asked.home.is_claimed:
        raise CompanyError("a company runs in this home; ./elf down first, then connect it")
    known = connection_of(asked.home)
    if known is not None and known.repo != asked.repo:
        raise CompanyError(f"this company is kept at {known.repo}; a company stays where it is. Use another ELF_HOME")
    if known is None and _has_changes(asked.settings):
        raise CompanyError(
            "this company has changes on the embedded forge, and their numbers would meet GitHub's own. "
            "Connect a company before its first change: ELF_HOME=<a new folder> ./elf github connect …"
        )


def _has_changes(settings: Settings) -> bool:
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return False
    database = Database(url)
    try:
        with database.engine.connect() as connection:
            if version(connection) is None:
                return False
        with database.read() as session:
            return change_views.any_number(session)
    except SQLAlchemyError as error:
        raise CompanyError("the company's database cannot be read; ./elf doctor says what is wrong with it") from error
    finally:
        database.close()


def _connection(asked: Asked, proposer: Identified, gate: Identified, people: tuple[str, ...]) -> Connection:
    given = asked.settings.github
    return Connection(
        repo=asked.repo,
        api_url=given.api_url,
        site_url=given.git_url,
        proposer=proposer.who,
        gate=gate.who,
        people=people,
        hook_url=given.webhook_url,
        proposer_installation=proposer.installation,
        gate_installation=gate.installation,
    )


def _carry_out(
    asked: Asked,
    api: GitHubApi,
    connection: Connection,
    proposer: Identified,
    gate: Identified,
    actions: tuple[Action, ...],
    token: str,
) -> None:
    home = asked.home
    home.prepare()
    home.keep_key(PROPOSER_KEY, proposer.key)
    home.keep_key(GATE_KEY, gate.key)
    secret = _hook_secret(home)
    for action in actions:
        if action.kind == "first_push":
            _first_push(asked, connection, token)
        elif action.kind == "files":
            _propose(asked, api, connection, token, action)
        else:
            carry_out(api, action, secret)
    connection.save(home)


def _without_lost_secret(home: Home, found: Found) -> Found:
    """Where this home has no secret (any more), a webhook's is as good as none: it is given a new one."""
    if found.hooks is None or (home.path / "keys" / HOOK_KEY).exists():
        return found
    known = tuple({**hook, "config": {**hook.get("config", {}), "secret": ""}} for hook in found.hooks)
    return replace(found, hooks=known)


def _hook_secret(home: Home) -> str:
    """The webhook's secret, made once."""
    try:
        return home.key(HOOK_KEY)
    except HomeUnusable:
        home.keep_key(HOOK_KEY, secrets.token_urlsafe(48))
        return home.key(HOOK_KEY)


def _first_push(asked: Asked, connection: Connection, token: str) -> None:
    """The company as the embedded forge has it or, before its first start, this checkout; with the logins of GitHub in it."""
    account = signed_in(asked.settings.github, asked.repo, token)
    mirror = Mirror(mirror_path(asked.home, asked.repo), account, asked.now)
    mirror.prepare()
    bare = bare_path(asked.home.forge, OWNER, REPO)
    begun = bare if bare is not None and _begun(bare) else None
    files, modes = files_of(asked.settings.checkout) if begun is None else ({}, {})
    law = _law_of(files if begun is None else Repository(begun))
    naming = {path: text.encode() for path, text in _named(law, connection).items()}
    naming[CODEOWNERS_FILE] = codeowners(connection.people).encode()
    push_first(mirror, account, FirstPush(begun, files, modes, naming), asked.now())


def _law_of(where: Mapping[str, bytes] | Repository) -> dict[str, str]:
    """The files of the law that name logins, in a checkout's files or at a repository's main."""
    if isinstance(where, Repository):
        there = [
            it.path for it in where.listing("refs/heads/main", "policies") if it.path in (LAW_FILE, OVERRIDES_FILE)
        ]
        where = where.read_many("refs/heads/main", there)
    return {path: where[path].decode() for path in (LAW_FILE, OVERRIDES_FILE) if path in where}


def _named(law: Mapping[str, str], connection: Connection) -> dict[str, str]:
    return law_naming(law, connection.people, [connection.proposer.login])


def _begun(bare: Path) -> bool:
    try:
        return bool(bare.exists() and Repository(bare).resolve("refs/heads/main"))
    except UnknownRevision:
        return False


def _propose(asked: Asked, api: GitHubApi, connection: Connection, token: str, action: Action) -> None:
    """A pull request in the name of whoever connects: the constitution is changed by people."""
    files: dict[str, bytes | None] = {}
    for path in action.body["files"]:
        if path == CODEOWNERS_FILE:
            files[path] = codeowners(connection.people).encode()
        elif path == WORKFLOW_FILE:
            files[path] = (workflow_of(asked.settings) or "").encode()
        else:
            law = {it: text for it in (LAW_FILE, OVERRIDES_FILE) if (text := file_at_main(api, it)) is not None}
            files |= {it: text.encode() for it, text in _named({LAW_FILE: ""} | law, connection).items()}
    topic = "law" if LAW_FILE in files else "files"
    person = signed_in(asked.settings.github, asked.repo, token)
    changes = GitHubChanges(person.named(login_of(api).login), asked.now, api.courtesy)
    try:
        changes.propose(
            Proposal(
                branch=f"{SETUP_BRANCH}{topic}",
                title=f"GitHub reads this company's {'logins' if topic == 'law' else 'files'}",
                body=f"From `./elf github connect`: {action.why}.",
                labels=(),
                files=files,
                message=f"{action.what[:1].upper()}{action.what[1:]}\n",
            )
        )
    finally:
        changes.close()
