"""What an identity may do at a repository, asked without doing anything, and held against what it may and must not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mcp_servers.git.changes import NotAllowed, Refused, UnknownChange
from mcp_servers.git.github_api import GitHubApi

Role = Literal["proposer", "gate"]
#: Right -> whether the identity has it; None where nobody can tell.
Rights = Mapping[str, bool | None]

NEEDED: Mapping[Role, tuple[str, ...]] = {
    "proposer": ("contents", "pull_requests"),
    "gate": ("contents", "pull_requests", "statuses"),
}
#: Who may write statuses or checks can say yes in the gate's place; who administers can take the rules away.
FORBIDDEN: Mapping[Role, tuple[str, ...]] = {
    "proposer": ("administration", "statuses", "checks", "workflows"),
    "gate": ("administration", "workflows"),
}
_NOTHING = "0" * 40
#: How GitHub refuses rulesets of a private repository without a paid plan, to everybody: that says nothing of who asks.
_UNPAID = "Upgrade to GitHub"
#: Requests that cannot succeed: they speak of a commit, a branch and a rule that do not exist. Whoever lacks the right is told
#: so (403, 404) before the request is looked at; whoever has it is told what is wrong with it.
PROBES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "contents": ("git/refs", {"ref": "refs/heads/auto/elf/probe", "sha": _NOTHING}),
    "pull_requests": ("pulls", {"title": "elf probe", "head": "auto/elf/no-such-branch", "base": "main"}),
    "statuses": (f"statuses/{_NOTHING}", {"state": "pending", "context": "elf/probe"}),
    "administration": (
        "rulesets",
        {"name": "elf probe", "enforcement": "disabled", "rules": [{"type": "elf_no_such_rule"}]},
    ),
}


def probed(api: GitHubApi) -> Rights:
    """The rights of a token, by asking for what cannot be done. Raises `Unavailable`."""
    return {right: _told(*api.answer("POST", path, body)) for right, (path, body) in PROBES.items()}


def granted(permissions: Mapping[str, str]) -> Rights:
    """The rights of an App, as GitHub lists them."""
    named = {*PROBES, *FORBIDDEN["proposer"], *FORBIDDEN["gate"]}
    return {right: permissions.get(right) in {"write", "admin"} for right in named}


def may_write(api: GitHubApi, login: str) -> bool | None:
    """Whether a person's approval can count: GitHub counts those of who may write alone. None where nobody can tell."""
    try:
        found = api.ask("GET", f"collaborators/{login}/permission")
    except UnknownChange:
        return False
    except (NotAllowed, Refused):
        return None
    return found.get("permission") in {"admin", "maintain", "write"}


def readers(api: GitHubApi, people: Sequence[str]) -> list[str]:
    """The people whose approvals GitHub would not count, each with what helps."""
    return [
        f"{login} may not write to {api.account.repo}, so GitHub does not count their approval; add them as a collaborator who may"
        for login in people
        if may_write(api, login) is False
    ]


def problems(role: Role, rights: Rights) -> list[str]:
    """What the identity lacks, and what it must not have."""
    lacks = [f"it lacks '{right}: write'" for right in NEEDED[role] if rights.get(right) is False]
    too_much = [
        f"it has '{right}: write', which the {role} must not have" for right in FORBIDDEN[role] if rights.get(right)
    ]
    return [*lacks, *too_much]


def untold(role: Role, rights: Rights) -> list[str]:
    """The rights that matter and that could not be told."""
    return [right for right in (*NEEDED[role], *FORBIDDEN[role]) if rights.get(right) is None]


def _told(status: int, text: str) -> bool | None:
    if status == 403 and _UNPAID in text:
        return None
    if status in {401, 403, 404}:
        return False
    return True if status in {400, 409, 422} else None
