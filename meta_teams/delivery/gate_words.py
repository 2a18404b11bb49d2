"""What a change waits for, as a person would say it, from what the rules of its verdict say. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def gate_says(verdict: dict[str, Any] | None) -> tuple[str, ...]:
    """One clause without a full stop: `the gate is still running its checks, and waits for one approval (owner)`.

    Empty where nothing stands in the way. What has no words here is said with its rule and reason.
    """
    if verdict is None:
        return ("the gate has not looked at it yet",)
    rules = [child for child in verdict.get("children") or [] if child.get("outcome") != "allow"]
    if not rules and verdict.get("outcome") != "allow":
        rules = [verdict]
    said = list(dict.fromkeys(_clause(rule) for rule in rules))
    return (f"the gate {listed(said, ', and ')}",) if said else ()


def listed(items: Sequence[str], last: str) -> str:
    """`a, b<last>c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])}{last}{items[-1]}" if items else ""


def sentences(reasons: Sequence[str]) -> str:
    """Each with a capital and a full stop."""
    return " ".join(f"{reason[:1].upper()}{reason[1:].rstrip('.')}." for reason in reasons)


def _clause(rule: dict[str, Any]) -> str:
    why = f"{rule.get('rule')}: {rule.get('reason')}"
    match rule:
        case {"outcome": "pending", "rule": "checks"}:
            return "is still running its checks"
        case {"outcome": "pending"}:
            return f"waits ({why})"
        case {"outcome": "needs_approval", "missing": {"approvals": int(count), "may_approve": list(people)}}:
            number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
            who = listed([str(one) for one in people], " or ")
            return f"waits for {number} approval{'' if count == 1 else 's'} ({who})"
        case {"outcome": "needs_approval"}:
            return f"wants a person to decide ({why})"
        case _:
            return f"refuses it ({why})"
