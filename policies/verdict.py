"""A verdict is a tree that explains itself: the page renders it, the ledger stores it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

MAX_REASON = 600


class Outcome(StrEnum):
    """From yes to no. Among several, the one furthest down counts."""

    ALLOW = "allow"
    #: Nothing to be done but wait, until `retry_at` if that is known.
    PENDING = "pending"
    #: A person can turn it into a yes.
    NEEDS_APPROVAL = "needs_approval"
    DENY = "deny"


_WEIGHT = {outcome: weight for weight, outcome in enumerate(Outcome)}
_SIGN = {Outcome.ALLOW: "[ok]", Outcome.PENDING: "[wait]", Outcome.NEEDS_APPROVAL: "[person]", Outcome.DENY: "[no]"}


class Missing(BaseModel):
    """Approvals that are still missing, and who may give one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    approvals: int
    may_approve: tuple[str, ...]


class Verdict(BaseModel):
    """One rule's answer, or (with children) the answer of all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Outcome
    rule: str
    reason: str
    #: When a pending verdict may turn out otherwise by itself (UTC).
    retry_at: datetime | None = None
    #: What people can add, where that is all that is missing.
    missing: Missing | None = None
    children: tuple[Verdict, ...] = ()

    @property
    def allowed(self) -> bool:
        return self.outcome is Outcome.ALLOW

    def text(self) -> str:
        """The tree, a line a rule, indented by two spaces a level."""
        return "\n".join(self._lines(0))

    def _lines(self, depth: int) -> Iterator[str]:
        when = f" (again at {self.retry_at:%Y-%m-%d %H:%M:%S} UTC)" if self.retry_at else ""
        yield f"{'  ' * depth}{_SIGN[self.outcome]} {self.rule}: {self.reason}{when}"
        for child in self.children:
            yield from child._lines(depth + 1)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` gives the equal verdict back."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: object) -> Self:
        return cls.model_validate(data)

    def reasons(self) -> tuple[str, ...]:
        """What stands in the way, worst first: `rule: reason` of every rule that does not say yes."""
        blocking = [child for child in self.children if not child.allowed] or ([] if self.allowed else [self])
        ordered = sorted(blocking, key=lambda child: -_WEIGHT[child.outcome])
        return tuple(f"{child.rule}: {child.reason}" for child in ordered)


def allow(rule: str, reason: str) -> Verdict:
    return Verdict(outcome=Outcome.ALLOW, rule=rule, reason=reason)


def deny(rule: str, reason: str) -> Verdict:
    return Verdict(outcome=Outcome.DENY, rule=rule, reason=reason[:MAX_REASON])


def needs_approval(rule: str, reason: str, missing: Missing | None = None) -> Verdict:
    return Verdict(outcome=Outcome.NEEDS_APPROVAL, rule=rule, reason=reason[:MAX_REASON], missing=missing)


def pending(rule: str, reason: str, retry_at: datetime | None = None) -> Verdict:
    return Verdict(outcome=Outcome.PENDING, rule=rule, reason=reason[:MAX_REASON], retry_at=retry_at)


def combine(rule: str, children: Sequence[Verdict]) -> Verdict:
    """The strictest outcome of all. Nobody having an opinion is not a yes: then a person decides.

    `retry_at` is the latest of the pending ones, and None if one of them cannot say or a no or a person stands before them.
    """
    if not children:
        return needs_approval(rule, "no rule speaks of this change; a person decides")
    outcome = max((child.outcome for child in children), key=_WEIGHT.__getitem__)
    deciding = [child for child in children if child.outcome is outcome]
    times = [child.retry_at for child in deciding]
    known = [at for at in times if at is not None]
    retry_at = max(known) if outcome is Outcome.PENDING and len(known) == len(times) else None
    if outcome is Outcome.ALLOW:
        reason = f"all {many(len(children), 'rule')} allow it" if len(children) > 1 else "the one rule allows it"
    else:
        reason = "; ".join(f"{child.rule}: {child.reason}" for child in deciding)[:MAX_REASON]
    return Verdict(outcome=outcome, rule=rule, reason=reason, retry_at=retry_at, children=tuple(children))


def shown(text: str, limit: int = 80) -> str:
    """Text from outside, safe in a sentence: quoted, ASCII, cut."""
    plain = ascii(text)
    return plain if len(plain) <= limit else plain[: limit - 4] + "...'"


def many(number: int, noun: str) -> str:
    """So many of them: `1 approval`, `2 approvals`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(items: Sequence[str], limit: int = 3) -> str:
    """The first few of them, and how many more there are."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(shown(item) for item in items[:limit]) + more
