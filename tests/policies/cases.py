"""A change that the gate allows, to be spoilt one thing at a time; and the law of this checkout."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from policies import law
from policies.evaluate import evaluate
from policies.facts import MICRO, ChangedFile, CheckRun, Facts, Review, SpecFacts, TeamFacts
from policies.law import Law
from policies.verdict import Outcome, Verdict

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HEAD, OTHER_HEAD, BASE, POLICY = "a" * 40, "b" * 40, "c" * 40, "d" * 40
BEFORE, AFTER, VERIFIED = "1" * 40, "2" * 40, "3" * 40


@cache
def policy_files() -> dict[str, bytes]:
    folder = Path(law.__file__).parent
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.yaml"))}


@cache
def the_law() -> Law:
    return law.read(policy_files())


def amended(**parts: dict[str, Any]) -> Law:
    """The law with some fields of some of its parts replaced: `amended(costs={"daily_budget_usd": 0})`."""
    data = the_law().model_dump()
    for part, fields in parts.items():
        data[part] |= fields
    return the_law().model_copy(
        update={name: type(getattr(the_law(), name)).model_construct(**_typed(name, data[name])) for name in parts}
    )


def _typed(part: str, fields: dict[str, Any]) -> dict[str, Any]:
    current = getattr(the_law(), part)
    return {
        name: value if value != current.model_dump()[name] else getattr(current, name) for name, value in fields.items()
    }


def spec(**changes: Any) -> SpecFacts:
    fields: dict[str, Any] = {
        "name": "marketing-team",
        "folder": "marketing_team",
        "framework": "crewai",
        "members": 3,
        "daily_budget_usd_micro": 10 * MICRO,
    }
    return SpecFacts(**(fields | changes))


def team(**changes: Any) -> TeamFacts:
    fields: dict[str, Any] = {
        "zone": "teams",
        "folder": "marketing_team",
        "tree_before": None,
        "tree_after": AFTER,
        "spec_after": spec(),
        "forecast_usd_micro_month": 300 * MICRO,
    }
    return TeamFacts(**(fields | changes))


def files(*paths: str, mode: str | None = "100644", size: int = 100) -> tuple[ChangedFile, ...]:
    return tuple(ChangedFile(path=path, mode=mode, size=size) for path in paths)


def approval(who: str = "owner", commit: str = HEAD, body: str = "", at: datetime = NOW) -> Review:
    return Review(who=who, state="approved", commit=commit, at=at, body=body)


def objection(who: str = "owner", at: datetime = NOW) -> Review:
    return Review(who=who, state="changes_requested", commit=HEAD, at=at)


def facts(**changes: Any) -> Facts:
    """A new team, proposed by an agent and approved by the owner: allowed."""
    fields: dict[str, Any] = {
        "number": 7,
        "state": "open",
        "branch": "auto/new-team/marketing-team-12345678",
        "target": "main",
        "author": "elf-devops",
        "requester": "devops/delivery-lead",
        "on_behalf_of": "person:owner",
        "head": HEAD,
        "base": BASE,
        "head_in_repository": HEAD,
        "base_in_repository": BASE,
        "policy_tree": POLICY,
        "files": files("teams/marketing_team/team.yaml", "teams/marketing_team/README.md"),
        "team": team(),
        "findings": (),
        "check_run": CheckRun(state="passed", said="5 tests passed"),
        "reviews": (approval(),),
        "read_at": NOW,
    }
    return Facts(**(fields | changes))


def rollback(**changes: Any) -> Facts:
    """An agent returns a team that fell ill to a verified tree, and nobody has looked at it: allowed."""
    back = team(
        tree_before=BEFORE,
        tree_after=VERIFIED,
        verified_trees=frozenset({VERIFIED}),
        ill_trees=frozenset({BEFORE}),
        spec_before=spec(),
    )
    return facts(**({"team": back, "reviews": ()} | changes))


def judged(change: Facts, by: Law | None = None, now: datetime = NOW) -> Verdict:
    return evaluate(change, by or the_law(), now)


def answer(verdict: Verdict, rule: str) -> Verdict | None:
    return next((child for child in verdict.children if child.rule == rule), None)


def blocked_by(verdict: Verdict) -> dict[str, Outcome]:
    """Every rule that does not say yes, with its outcome."""
    return {child.rule: child.outcome for child in verdict.children if not child.allowed}
