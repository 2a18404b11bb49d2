"""How a company's repository on GitHub has to be, and what is to be done where it is not. Pure: from what is there to actions.

`./elf github connect` does the actions; `./elf github doctor` finds the same ones and does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mcp_servers.git.verdict_page import CONTEXT
from policies.kinds import CATALOG

Body = Mapping[str, Any]

CODEOWNERS_FILE = ".github/CODEOWNERS"
WORKFLOW_FILE = ".github/workflows/gate.yml"
LAW_FILE = "policies/changes.yaml"
OVERRIDES_FILE = "policies/overrides.yaml"
MAIN_RULES, BRANCH_RULES = "elf: main", "elf: branches"
HOOK_EVENTS = ("issue_comment", "pull_request", "pull_request_review", "push", "status")
#: GitHub's number for the repository role «admin»: the people who look after the repository.
ADMIN_ROLE = 5
#: Every label the company puts on a pull request: name -> (colour, what it says).
LABELS: Mapping[str, tuple[str, str]] = {
    "automated": ("6f42c1", "Proposed by the company's agents"),
    "new-team": ("0e8a16", "Brings a new team"),
    "rollback": ("d93f0b", "Returns to a version that was healthy"),
    "needs-review": ("fbca04", "Waits for a person"),
}


@dataclass(frozen=True)
class Who:
    """An identity at the place: its login, its account's number, and the App's where it is one."""

    login: str
    id: int
    app_id: int | None = None

    @property
    def actor(self) -> dict[str, Any]:
        """How rulesets name it."""
        if self.app_id is not None:
            return {"actor_id": self.app_id, "actor_type": "Integration"}
        return {"actor_id": self.id, "actor_type": "User"}


@dataclass(frozen=True)
class Wanted:
    """The company as it is to be at one repository. `hook_url` empty: nobody tells us, and we ask."""

    repo: str
    proposer: Who
    gate: Who
    people: tuple[str, ...]
    hook_url: str = ""


@dataclass(frozen=True)
class Found:
    """What is there. `main` False: the repository is empty. None: whoever looked may not see it."""

    main: bool
    rulesets: tuple[Body, ...] = ()
    labels: frozenset[str] = frozenset()
    hooks: tuple[Body, ...] | None = ()
    codeowners: str | None = None
    workflow: str | None = None
    #: The workflow as main's own code would have it; None where the company brings none.
    workflow_wanted: str | None = None
    law_people: tuple[str, ...] | None = None
    law_agents: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Action:
    """One thing to do. `why` says what is there instead."""

    kind: Literal["first_push", "ruleset", "label", "hook", "files"]
    what: str
    why: str
    #: Of what exists already: its number there.
    id: int | None = None
    body: Body = field(default_factory=dict[str, Any])

    @property
    def text(self) -> str:
        return f"{self.what} ({self.why})"


def plan(found: Found, wanted: Wanted) -> tuple[Action, ...]:
    """What is to be done, in this order; empty where all is as it has to be."""
    first = () if found.main else (Action("first_push", "push the company's repository as main", "there is no main"),)
    labels = (
        Action("label", f"make the label {name}", "it is not there", body=_label(name))
        for name in LABELS
        if name not in found.labels
    )
    return (*first, *_files(found, wanted), *labels, *_hook(found, wanted), *_rulesets(found, wanted))


def rulesets(wanted: Wanted) -> tuple[dict[str, Any], ...]:
    """Main's, which nobody passes by; and all branches', which only the gate (by merging) and administrators pass by."""
    check: dict[str, Any] = {"context": CONTEXT}
    if wanted.gate.app_id is not None:
        check["integration_id"] = wanted.gate.app_id
    review = {
        "required_approving_review_count": 1,
        "dismiss_stale_reviews_on_push": True,
        "require_code_owner_review": True,
        "require_last_push_approval": False,
        "required_review_thread_resolution": False,
        "allowed_merge_methods": ["merge"],
    }
    checks = {"strict_required_status_checks_policy": False, "required_status_checks": [check]}
    main = _ruleset(
        MAIN_RULES,
        ["refs/heads/main"],
        [],
        [
            {"type": "deletion"},
            {"type": "non_fast_forward"},
            {"type": "pull_request", "parameters": review},
            {"type": "required_status_checks", "parameters": checks},
        ],
        [],
    )
    passing = [
        {**wanted.gate.actor, "bypass_mode": "pull_request"},
        {"actor_id": ADMIN_ROLE, "actor_type": "RepositoryRole", "bypass_mode": "always"},
    ]
    closed = [{"type": "creation"}, {"type": "update"}, {"type": "deletion"}]
    return main, _ruleset(BRANCH_RULES, ["~ALL"], ["refs/heads/auto/**/*"], closed, passing)


def differences(there: Body, wanted: Body) -> list[str]:
    """How a ruleset falls short of the wanted one, in words. What it asks beyond that is no difference; who passes by it is."""
    found: list[str] = []
    if there.get("enforcement") != wanted["enforcement"]:
        found.append(f"it is {there.get('enforcement')}")
    names, asked = (body.get("conditions", {}).get("ref_name", {}) for body in (there, wanted))
    found += [
        f"it {word}s {', '.join(names.get(word, [])) or 'nothing'}"
        for word in ("include", "exclude")
        if set(names.get(word, [])) != set(asked[word])
    ]
    rules = {rule["type"]: rule.get("parameters") or {} for rule in there.get("rules", [])}
    for rule in wanted["rules"]:
        if rule["type"] not in rules:
            found.append(f"the rule {rule['type']} is gone")
        else:
            found += _weaker(rule["type"], rules[rule["type"]], rule.get("parameters") or {})
    if "bypass_actors" in there and _actors(there["bypass_actors"]) != _actors(wanted["bypass_actors"]):
        found.append("others may pass by it")
    return found


def codeowners(people: Iterable[str]) -> str:
    """Whom GitHub asks: the law's people for the constitution, nobody in particular for teams and tool servers."""
    owners = " ".join(f"@{name}" for name in people)
    return (
        "# Kept by ./elf github connect: the people in policies/changes.yaml look at every change to the constitution.\n"
        f"* {owners}\n/teams/\n/{CATALOG}\n/reports/\n"
        f"/teams/runtime/ {owners}\n/teams/resilience/ {owners}\n/teams/*.py {owners}\n"
    )


def law_naming(law: Mapping[str, str], people: Sequence[str], agents: Sequence[str]) -> dict[str, str]:
    """The files of `law` that name logins (path -> text), with these people and agents in them, and every comment where it was.

    `ValueError` if one has no such lists. A company without `overrides.yaml` has nobody to name there.
    """
    named = {LAW_FILE: _listing(law[LAW_FILE], LAW_FILE, {"people": people, "agents": agents})}
    if OVERRIDES_FILE in law:
        named[OVERRIDES_FILE] = _listing(law[OVERRIDES_FILE], OVERRIDES_FILE, {"by": people})
    return named


def _listing(text: str, path: str, lists: Mapping[str, Sequence[str]]) -> str:
    for key, names in lists.items():
        listed = "".join(f"  - {_plain(name)}\n" for name in names)
        text, times = re.subn(rf"(?m)^{key}:[ ]*\n(?:[ ]+-[^\n]*\n)+", f"{key}:\n{listed}", text)
        if times != 1:
            raise ValueError(f"{path} has no plain list under '{key}:'; write one name a line")
    return text


def _files(found: Found, wanted: Wanted) -> list[Action]:
    """What main's own files have to say. In a repository that has a main they come by pull requests, and the law travels alone."""
    if not found.main:
        return []
    files: dict[str, str] = {}
    if found.codeowners != codeowners(wanted.people):
        files[CODEOWNERS_FILE] = "is not there" if found.codeowners is None else "says something else"
    if found.workflow_wanted is not None and found.workflow != found.workflow_wanted:
        files[WORKFLOW_FILE] = "is not there" if found.workflow is None else "says something else"
    law: list[str] = []
    if found.law_people is None or _folded(found.law_people) != _folded(wanted.people):
        law.append(f"it does not name {', '.join(wanted.people)} as the people")
    if found.law_agents is None or wanted.proposer.login.casefold() not in _folded(found.law_agents):
        law.append(f"it does not name {wanted.proposer.login} among the agents")
    actions: list[Action] = []
    if files:
        why = "; ".join(f"{path} {wrong}" for path, wrong in files.items())
        actions.append(Action("files", "propose the files that GitHub reads", why, body={"files": list(files)}))
    if law:
        actions.append(
            Action("files", f"propose {LAW_FILE} with the logins", "; ".join(law), body={"files": [LAW_FILE]})
        )
    return actions


def _hook(found: Found, wanted: Wanted) -> list[Action]:
    if found.hooks is None or not wanted.hook_url:
        return []
    body = {"name": "web", "active": True, "events": list(HOOK_EVENTS), "config": {"url": wanted.hook_url}}
    mine = next((hook for hook in found.hooks if _url(hook) == wanted.hook_url), None)
    what = f"make the webhook to {wanted.hook_url}"
    if mine is None:
        others = ", ".join(_url(hook) for hook in found.hooks)
        return [Action("hook", what, f"there are only webhooks to {others}" if others else "there is none", body=body)]
    config = mine.get("config", {})
    wrong = [
        *([] if mine.get("active") else ["it is switched off"]),
        *([] if set(HOOK_EVENTS) <= {*mine.get("events", []), *_every(mine)} else ["it is not told of everything"]),
        *([] if config.get("content_type") == "json" else ["it does not send JSON"]),
        *([] if config.get("secret") else ["it has no secret that is known here"]),
        *(["it does not look at certificates"] if str(config.get("insecure_ssl", "0")) != "0" else []),
    ]
    return [Action("hook", what, "; ".join(wrong), int(mine["id"]), body)] if wrong else []


def _rulesets(found: Found, wanted: Wanted) -> list[Action]:
    there = {body["name"]: body for body in found.rulesets}
    actions: list[Action] = []
    for body in rulesets(wanted):
        name = str(body["name"])
        what = f"make the ruleset '{name}'"
        if name not in there:
            actions.append(Action("ruleset", what, "it is not there", body=body))
        elif wrong := differences(there[name], body):
            actions.append(Action("ruleset", what, "; ".join(wrong), int(there[name]["id"]), body))
    return actions


def _ruleset(
    name: str, include: list[str], exclude: list[str], rules: list[dict[str, Any]], passing: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "name": name,
        "target": "branch",
        "enforcement": "active",
        "bypass_actors": passing,
        "conditions": {"ref_name": {"include": include, "exclude": exclude}},
        "rules": rules,
    }


def _weaker(kind: str, there: Body, wanted: Body) -> list[str]:
    found: list[str] = []
    for key, value in wanted.items():
        has = there.get(key)
        if key == "required_status_checks":
            found += _unpinned(has or [], value)
        elif key == "required_approving_review_count":
            found += [] if isinstance(has, int) and has >= value else [f"{has or 0} approvals are asked for"]
        elif value is True or key == "allowed_merge_methods":
            found += [] if has == value else [f"{kind}.{key} is {has}"]
    return found


def _unpinned(there: Sequence[Body], wanted: Sequence[Body]) -> list[str]:
    """A status is only the gate's where nobody else can say it in its place."""
    found: list[str] = []
    for check in wanted:
        same = [it for it in there if it.get("context") == check["context"]]
        if not same:
            found.append(f"the status {check['context']} is not asked for")
        elif not any(it.get("integration_id") == check.get("integration_id") for it in same):
            found.append(f"the status {check['context']} is not pinned to the gate")
    return found


def _actors(actors: Iterable[Body]) -> set[tuple[Any, ...]]:
    return {(it.get("actor_type"), it.get("actor_id"), it.get("bypass_mode", "always")) for it in actors}


def _label(name: str) -> dict[str, str]:
    colour, says = LABELS[name]
    return {"name": name, "color": colour, "description": says}


def _url(hook: Body) -> str:
    return str(hook.get("config", {}).get("url", ""))


def _every(hook: Body) -> Sequence[str]:
    return HOOK_EVENTS if "*" in hook.get("events", []) else ()


def _folded(names: Iterable[str]) -> set[str]:
    return {name.casefold() for name in names}


def _plain(name: str) -> str:
    """A login as YAML has it: an App's has brackets, which want quotes."""
    return f'"{name}"' if "[" in name else name
