"""Past decisions under another law: which of them would have turned out otherwise. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from policies.evaluate import evaluate
from policies.facts import Facts
from policies.kinds import kind_of
from policies.law import Law


@dataclass(frozen=True)
class Past:
    """A decision that was made: its outcome then, and the facts it was made by (JSON values), if they were kept."""

    number: int
    outcome: str
    facts: Mapping[str, Any] | None


@dataclass(frozen=True)
class Turned:
    """A decision that comes out otherwise, and why. `recorded` is what was said then, under the law of then."""

    number: int
    kind: str
    about: str
    at: str
    recorded: str
    before: str
    after: str
    why: str


@dataclass(frozen=True)
class Replay:
    """What was replayed and what turned. `untold` counts decisions whose facts were not kept or are of another make."""

    decisions: int
    untold: int
    turned: tuple[Turned, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"decisions": self.decisions, "untold": self.untold, "turned": [asdict(it) for it in self.turned]}


def replay(past: Iterable[Past], before: Law, after: Law) -> Replay:
    """Every decision again, at its own time, by its own facts, under both laws. What differs between the two has turned."""
    decisions, untold, turned = 0, 0, list[Turned]()
    for one in past:
        decisions += 1
        facts = _facts(one)
        if facts is None:
            untold += 1
        elif (found := _turned(one, facts, before, after)) is not None:
            turned.append(found)
    return Replay(decisions, untold, tuple(turned))


def as_json(facts: Facts) -> dict[str, Any]:
    """The facts as JSON values, equal for equal facts; `Facts.model_validate` gives them back."""
    data = facts.model_dump(mode="json", exclude_defaults=True)
    if facts.team is not None and facts.team.verified_trees:
        data["team"]["verified_trees"] = sorted(facts.team.verified_trees)
    return data


def _facts(one: Past) -> Facts | None:
    if one.facts is None:
        return None
    try:
        return Facts.model_validate(one.facts)
    except ValidationError:
        return None


def _turned(one: Past, facts: Facts, before: Law, after: Law) -> Turned | None:
    old, new = (evaluate(facts, law, facts.read_at) for law in (before, after))
    if old.outcome is new.outcome:
        return None
    about = facts.team.path if facts.team else facts.server.path if facts.server else facts.branch
    reasons = new.reasons() or (f"no longer: {'; '.join(old.reasons())}",)
    return Turned(
        number=one.number,
        kind=kind_of(facts),
        about=about,
        at=_day(facts.read_at),
        recorded=one.outcome,
        before=old.outcome,
        after=new.outcome,
        why=reasons[0][:300],
    )


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
