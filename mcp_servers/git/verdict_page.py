"""What the gate says of a change, where people look: the commit status's one line and the comment's tree."""

from __future__ import annotations

from mcp_servers.git import markdown
from mcp_servers.git.changes import STATUS_DESCRIPTION_LIMIT, StatusState
from policies.verdict import Outcome, Verdict

CONTEXT = "elf/gate"
MARKER = "elf-gate-verdict"

_STATES: dict[Outcome, StatusState] = {
    Outcome.ALLOW: "success",
    Outcome.PENDING: "pending",
    Outcome.NEEDS_APPROVAL: "pending",
    Outcome.DENY: "failure",
}
_HEADLINES = {
    Outcome.ALLOW: "The gate allows this change; the merge desk merges it.",
    Outcome.PENDING: "The gate waits, and judges again by itself.",
    Outcome.NEEDS_APPROVAL: "The gate waits for a person.",
    Outcome.DENY: "The gate refuses this change.",
}


def status(verdict: Verdict) -> tuple[StatusState, str]:
    """State and description (at most 140 characters) of the commit status."""
    text = verdict.reason if verdict.allowed else (verdict.reasons() or (verdict.reason,))[0]
    return _STATES[verdict.outcome], markdown.visible(text)[:STATUS_DESCRIPTION_LIMIT]


def comment(verdict: Verdict, number: int, kind: str, head: str, base: str, policy_tree: str) -> str:
    """The comment's body, Markdown. Equal inputs give equal text."""
    return "\n\n".join(
        [
            f"**{_HEADLINES[verdict.outcome]}**",
            markdown.block(verdict.text(), width=140),
            f"Judged as `{kind}`: commit `{head[:12]}` onto `{base[:12] or 'unknown'}`, under the law `{policy_tree[:12] or 'unknown'}`. "
            "It is judged again when one of them moves.",
            _next(verdict, number),
        ]
    )


def _next(verdict: Verdict, number: int) -> str:
    if verdict.outcome is Outcome.NEEDS_APPROVAL:
        return (
            f"Next: `./elf show {number}`, then `./elf approve {number}` (or what the lines marked [person] ask for), "
            f'or `./elf reject {number} --why "..."`.'
        )
    if verdict.outcome is Outcome.DENY:
        return f'Next: mend what the lines marked [no] name, or `./elf reject {number} --why "..."`.'
    return "Next: nothing for you to do."
