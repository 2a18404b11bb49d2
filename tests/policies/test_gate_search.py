"""What holds in every world: searched for counter-examples, and each search shown to find one when a hole is planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.errors import NoSuchExample

from policies import case, content_rules, people_rules
from policies.case import Rule
from policies.evaluate import evaluate
from policies.facts import Facts, Kind, Review
from policies.kinds import kind_of
from policies.rules import RULES
from policies.verdict import Outcome, Verdict, allow
from tests.policies.cases import HEAD, NOW, facts, judged
from tests.policies.worlds import LAW, near_misses, worlds

Violation = Callable[[Facts, Verdict, Sequence[tuple[str, Rule]]], bool]
thorough = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def self_approved(change: Facts, verdict: Verdict, _rules: object) -> bool:
    """Merged though nobody but author and requester approved this head, and it is no rollback."""
    involved = {change.author.casefold(), change.requester.casefold().removeprefix("person:")}
    others = {
        it.who.casefold()
        for it in change.reviews
        if it.state == "approved" and it.commit == HEAD and it.who.casefold() in {"owner", "second"}
    }
    return verdict.allowed and kind_of(change) is not Kind.ROLLBACK_TEAM and not others - involved


def unevaluated(change: Facts, verdict: Verdict, _rules: object) -> bool:
    """Merged though the branch is not where the facts are from."""
    return verdict.allowed and (change.head != change.head_in_repository or change.base != change.base_in_repository)


def judge_changed(change: Facts, verdict: Verdict, _rules: object) -> bool:
    """An agent's change that reaches beyond one folder in teams/, not refused."""
    agents = change.author.casefold() not in {"owner", "second"}
    outside = any(not it.path.startswith(f"teams/{change.team.folder if change.team else '?'}/") for it in change.files)
    return agents and outside and verdict.outcome is not Outcome.DENY


def edited(change: Facts, verdict: Verdict, _rules: object) -> bool:
    """A team's folder merged that the factory did not make, and that was never verified either."""
    return (
        verdict.allowed
        and change.team is not None
        and bool(change.team.different)
        and kind_of(change)
        in (
            Kind.NEW_TEAM,
            Kind.CHANGE_TEAM,
        )
    )


def odd_file(change: Facts, verdict: Verdict, _rules: object) -> bool:
    """A link or a submodule merged."""
    return verdict.allowed and any(it.mode in ("120000", "160000") for it in change.files)


def no_into_yes(change: Facts, verdict: Verdict, rules: Sequence[tuple[str, Rule]]) -> bool:
    """Not allowed, and allowed once an approval is taken away."""
    if verdict.allowed:
        return False
    approved = [index for index, it in enumerate(change.reviews) if it.state == "approved"]
    return any(
        evaluate(change.model_copy(update={"reviews": _without(change.reviews, index)}), LAW, NOW, rules).allowed
        for index in approved
    )


def _without(given: tuple[Review, ...], index: int) -> tuple[Review, ...]:
    return given[:index] + given[index + 1 :]


def counts_everything(self: case.Case) -> tuple[Review, ...]:
    return tuple(it for it in self.decisive_reviews if it.state == "approved")


def last_word_only(self: case.Case) -> tuple[Review, ...]:
    latest = {it.who: it for it in self.facts.reviews}
    return tuple(
        it
        for it in latest.values()
        if it.state == "approved" and it.commit == self.facts.head and self.may_approve(it.who)
    )


def without(*names: str) -> tuple[tuple[str, Rule], ...]:
    return tuple((name, rule) for name, rule in RULES if name not in names)


INVARIANTS: dict[str, Violation] = {
    "no self-approval": self_approved,
    "no merge of an unevaluated commit": unevaluated,
    "an agent cannot change what judges it": judge_changed,
    "no edited file": edited,
    "no link": odd_file,
    "removing an approval never turns no into yes": no_into_yes,
}


@pytest.mark.rows("F99", "F106", "L3")
@pytest.mark.parametrize("name", INVARIANTS)
def test_no_world_breaks_the_invariant(name: str) -> None:
    violated = INVARIANTS[name]

    @thorough
    @given(worlds | near_misses)
    def search(change: Facts) -> None:
        assert not violated(change, evaluate(change, LAW, NOW), RULES)

    search()


HOLES: dict[str, tuple[str, tuple[tuple[str, Rule], ...]]] = {
    "approvals not asked for": ("no self-approval", without("approvals")),
    "moved branches not looked at": ("no merge of an unevaluated commit", without("fresh")),
    "authority not asked": ("an agent cannot change what judges it", without("authority")),
    "folder not rendered again": ("no edited file", without("rerender")),
    "modes not looked at": ("no link", without("paths")),
}


@pytest.mark.rows("L3")
@pytest.mark.parametrize("hole", HOLES)
def test_the_search_finds_a_planted_hole(hole: str) -> None:
    name, rules = HOLES[hole]
    assert _found(INVARIANTS[name], rules) is not None


@pytest.mark.rows("L3")
@pytest.mark.parametrize(
    ("counting", "name"),
    [(counts_everything, "no self-approval"), (last_word_only, "removing an approval never turns no into yes")],
)
def test_the_search_finds_approvals_counted_wrongly(
    counting: Callable[[case.Case], Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case.Case, "approvals", property(counting))
    assert _found(INVARIANTS[name], RULES) is not None


def _found(violated: Violation, rules: Sequence[tuple[str, Rule]]) -> Facts | None:
    searching = settings(max_examples=4000, deadline=None, phases=[Phase.generate], database=None)
    try:
        return find(
            near_misses, lambda change: violated(change, evaluate(change, LAW, NOW, rules), rules), settings=searching
        )
    except NoSuchExample:
        return None


def test_rules_do_not_see_more_than_the_case() -> None:
    """The same facts, law and time give the same verdict, and reading it writes nothing."""
    assert judged(facts()) == judged(facts())
    assert content_rules.refs.__code__.co_argcount == people_rules.approvals.__code__.co_argcount == 1
    assert evaluate(facts(), LAW, NOW, [("yes", lambda _case: allow("yes", "because"))]).allowed
