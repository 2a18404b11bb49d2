"""Looks at a repository on GitHub, and does what a plan says. Nothing here decides."""

from __future__ import annotations

import base64
from typing import Any

from mcp_servers.git.changes import ChangesError, NotAllowed, Refused, UnknownChange
from mcp_servers.git.github_api import GitHubApi
from mcp_servers.git.github_setup import CODEOWNERS_FILE, LAW_FILE, WORKFLOW_FILE, Action, Found
from policies.strict_yaml import BadYaml, load


def look(api: GitHubApi, workflow_wanted: str | None) -> Found:
    """What is there, as far as this identity may see it. Raises `ChangesError`."""
    if not has_main(api):
        return Found(False, _rulesets(api), _labels(api), _hooks(api), workflow_wanted=workflow_wanted)
    people, agents = _names(file_at_main(api, LAW_FILE))
    return Found(
        main=True,
        rulesets=_rulesets(api),
        labels=_labels(api),
        hooks=_hooks(api),
        codeowners=file_at_main(api, CODEOWNERS_FILE),
        workflow=file_at_main(api, WORKFLOW_FILE),
        workflow_wanted=workflow_wanted,
        law_people=people,
        law_agents=agents,
    )


def has_main(api: GitHubApi) -> bool:
    """Whether there is a main branch; `Refused` where there are others and no main, so it is no company's."""
    branches = [branch["name"] for branch in api.all("branches")]
    if branches and "main" not in branches:
        raise Refused(
            f"{api.account.repo} has branches but no main; give an empty repository, or rename its default branch"
        )
    return bool(branches)


def carry_out(api: GitHubApi, action: Action, hook_secret: str) -> None:
    """One ruleset, label or webhook. Repeated, it changes nothing; what somebody made meanwhile is taken as it is."""
    where = {"ruleset": "rulesets", "label": "labels", "hook": "hooks"}[action.kind]
    body = dict(action.body)
    if action.kind == "hook":
        config = {"content_type": "json", "insecure_ssl": "0", "secret": hook_secret}
        body["config"] = {**body["config"], **config}
    if action.id is not None:
        api.ask("PATCH" if action.kind == "hook" else "PUT", f"{where}/{action.id}", body)
        return
    try:
        api.ask("POST", where, body)
    except Refused as error:
        if not any(sign in str(error) for sign in ("already_exists", "already exists", "must be unique")):
            raise


def _rulesets(api: GitHubApi) -> tuple[dict[str, Any], ...]:
    """The repository's own, each whole: lists leave the rules out."""
    own = [it for it in api.all("rulesets") if it.get("source_type", "Repository") == "Repository"]
    return tuple(api.ask("GET", f"rulesets/{it['id']}") for it in own)


def _labels(api: GitHubApi) -> frozenset[str]:
    return frozenset(str(label["name"]) for label in api.all("labels"))


def _hooks(api: GitHubApi) -> tuple[dict[str, Any], ...] | None:
    try:
        return tuple(api.all("hooks"))
    except (UnknownChange, NotAllowed):
        return None


def file_at_main(api: GitHubApi, path: str) -> str | None:
    """The text of a file of main; None if there is none."""
    try:
        found = api.ask("GET", f"contents/{path}?ref=main")
    except UnknownChange:
        return None
    return base64.b64decode(found.get("content", "")).decode("utf-8", "replace")


def _names(law: str | None) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """The law's people and agents; None where it cannot be read."""
    try:
        read: Any = load(law or "")
        return tuple(map(str, read["people"])), tuple(map(str, read["agents"]))
    except (BadYaml, KeyError, TypeError, ChangesError):
        return None, None
