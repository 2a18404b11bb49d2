"""Rulesets: which refs are closed to whom, and what a merge must have. Pure.

They only ever add to the forge's own protection (`protection.py`): main stays closed, and so does everything outside `auto/`,
whatever a ruleset says or whoever may bypass it. Patterns are GitHub's: `*` and `?` stop at a slash, `**/` is any number of
folders, and `**` at the end is no more than `*`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mcp_servers.git.forge.identity import Identity, number_of
from mcp_servers.git.forge.store import Row

Action = Literal["creation", "update", "deletion", "non_fast_forward"]

#: What GitHub says of each action that a rule forbids.
SENTENCES: dict[Action, str] = {
    "creation": "Cannot create ref due to creations being restricted.",
    "update": "Cannot update this protected ref.",
    "deletion": "Cannot delete this protected ref.",
    "non_fast_forward": "Cannot force-push to this branch",
}
BY_PULL_REQUEST = "Changes must be made through a pull request."
#: The rules that are kept here. Others are refused when they are written: a rule nobody keeps is worse than none.
KEPT = frozenset({*SENTENCES, "pull_request", "required_status_checks", "required_linear_history"})
#: GitHub's number for the repository role «admin».
ADMIN_ROLE = 5


@dataclass(frozen=True)
class Ruleset:
    """One ruleset as stored; `rules` is the rule's type to its parameters."""

    id: int
    name: str
    enforcement: str
    bypass_actors: tuple[Mapping[str, Any], ...]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    rules: Mapping[str, Mapping[str, Any]]

    def covers(self, ref: str) -> bool:
        """Whether it speaks of the branch `refs/heads/…`."""
        return self.enforcement == "active" and _any(self.include, ref) and not _any(self.exclude, ref)

    def bypassed_by(self, identity: Identity, *, merging: bool) -> bool:
        return any(_is(actor, identity) and _mode_counts(actor, merging) for actor in self.bypass_actors)


@dataclass(frozen=True)
class MergeFacts:
    """What the rules want to know of a merge: who approved exactly the head, and who says what of it."""

    approvals: int
    changes_requested: int
    #: Context and creator's number of each latest status that is a success.
    passed: frozenset[tuple[str, int]]


def of_row(row: Row) -> Ruleset:
    names = json.loads(row["conditions"]).get("ref_name", {})
    rules = {rule["type"]: rule.get("parameters") or {} for rule in json.loads(row["rules"])}
    actors = tuple(json.loads(row["bypass_actors"]))
    return Ruleset(
        row["id"], row["name"], row["enforcement"], actors, tuple(names.get("include", ())),
        tuple(names.get("exclude", ())), rules,
    )  # fmt: skip


def push_violations(rulesets: Iterable[Ruleset], identity: Identity, ref: str, actions: Sequence[Action]) -> list[str]:
    """What forbids this identity to do these things to the ref, in GitHub's words; empty if nothing does."""
    found: list[str] = []
    for ruleset in rulesets:
        if ruleset.covers(ref) and not ruleset.bypassed_by(identity, merging=False):
            found += [SENTENCES[action] for action in actions if action in ruleset.rules]
            if "update" in actions and ruleset.rules.keys() & {"pull_request", "required_status_checks"}:
                found.append(BY_PULL_REQUEST)
    return list(dict.fromkeys(found))


def merge_violations(
    rulesets: Iterable[Ruleset], identity: Identity, base_ref: str, method: str, facts: MergeFacts
) -> list[str]:
    """What forbids this identity to merge into the base branch by this method; empty if nothing does."""
    found: list[str] = []
    for ruleset in rulesets:
        if ruleset.covers(base_ref) and not ruleset.bypassed_by(identity, merging=True):
            if "pull_request" in ruleset.rules:
                found += _review_violations(ruleset.rules["pull_request"], method, facts)
            if "required_status_checks" in ruleset.rules:
                found += _check_violations(ruleset.rules["required_status_checks"], facts)
            if "required_linear_history" in ruleset.rules and method == "merge":
                found.append("This branch must not contain merge commits.")
    return list(dict.fromkeys(found))


def closed_refs(rulesets: Iterable[Ruleset], identity: Identity) -> dict[Action, str]:
    """For each action an extended regular expression of the refs that are closed to it, for the push hook; '' is none.

    What a ruleset excludes is said by a second expression after a newline, one pair of lines a ruleset.
    """
    closed: dict[Action, list[str]] = {action: [] for action in SENTENCES}
    for ruleset in rulesets:
        if ruleset.enforcement != "active" or ruleset.bypassed_by(identity, merging=False):
            continue
        pair = f"{_expression(ruleset.include)}\n{_expression(ruleset.exclude)}"
        for action in SENTENCES:
            by_pull = action == "update" and ruleset.rules.keys() & {"pull_request", "required_status_checks"}
            if action in ruleset.rules or by_pull:
                closed[action].append(pair)
    return {action: "\n".join(pairs) for action, pairs in closed.items()}


def expression_of(pattern: str) -> str:
    """One pattern as a regular expression that Python and POSIX read alike; without anchors."""
    if pattern == "~ALL":
        return ".*"
    if pattern == "~DEFAULT_BRANCH":
        return "refs/heads/main"
    out, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            out, at = f"{out}(.*/)?", at + 3
        elif pattern[at] == "*":
            out, at = f"{out}[^/]*", at + len(pattern[at:]) - len(pattern[at:].lstrip("*"))
        else:
            out, at = out + {"?": "[^/]"}.get(pattern[at], _literal(pattern[at])), at + 1
    return out


def _review_violations(wanted: Mapping[str, Any], method: str, facts: MergeFacts) -> list[str]:
    count = int(wanted.get("required_approving_review_count", 0))
    methods = wanted.get("allowed_merge_methods") or ["merge", "squash", "rebase"]
    found: list[str] = []
    if method not in methods:
        found.append(f"Merge method {method} is not allowed; use {' or '.join(methods)}.")
    if facts.approvals < count:
        reviews = "review is" if count == 1 else "reviews are"
        found.append(f"At least {count} approving {reviews} required by reviewers with write access.")
    if count and facts.changes_requested:
        found.append(f"Changes were requested in {facts.changes_requested} review(s).")
    return found


def _check_violations(wanted: Mapping[str, Any], facts: MergeFacts) -> list[str]:
    checks = wanted.get("required_status_checks", [])
    missing = [check["context"] for check in checks if not _passed(check, facts)]
    if not missing:
        return []
    if len(checks) == 1:
        return [f'Required status check "{missing[0]}" is expected.']
    return [f"{len(missing)} of {len(checks)} required status checks are expected."]


def _passed(check: Mapping[str, Any], facts: MergeFacts) -> bool:
    """A success under that name; where the rule pins who must say it, by that one."""
    by = check.get("integration_id")
    return any(context == check["context"] and by in (None, creator) for context, creator in facts.passed)


def _is(actor: Mapping[str, Any], identity: Identity) -> bool:
    kind, number = actor.get("actor_type"), actor.get("actor_id")
    if kind == "RepositoryRole":
        return number == ADMIN_ROLE and "admin" in identity.may
    if kind == "Integration" and not identity.is_bot:
        return False
    return kind in {"User", "Integration"} and number == number_of(identity.login)


def _mode_counts(actor: Mapping[str, Any], merging: bool) -> bool:
    return merging or actor.get("bypass_mode", "always") != "pull_request"


def _any(patterns: Iterable[str], ref: str) -> bool:
    return any(re.fullmatch(expression_of(pattern), ref) for pattern in patterns)


def _expression(patterns: Iterable[str]) -> str:
    return "|".join(f"({expression_of(pattern)})" for pattern in patterns)


def _literal(character: str) -> str:
    return character if character.isalnum() or character in "/_-" else f"\\{character}"
