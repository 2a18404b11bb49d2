"""Rules that people write in CEL: they refuse or ask, never allow; they are checked when the law is read, and cost is bounded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import law, written
from policies.evaluate import evaluate
from policies.facts import Facts
from policies.law import BadLaw, Law
from policies.rules import RULES
from policies.verdict import Outcome
from policies.written import VARIABLES, CannotTell, Rules, Written, compiled, holds
from policies.written_rules import values_of
from tests.policies.cases import NOW, amended, answer, approval, blocked_by, facts, files, judged, policy_files
from tests.policies.worlds import laws, overridden

pytest.importorskip("cel_expr_python", reason="cel-expr-python is an extra")


def with_rules(**rules: Written) -> Law:
    return amended(rules={"rules": {name.replace("_", "-"): rule for name, rule in rules.items()}})


def a_rule(when: str, then: Any = "deny", approvals: int = 1) -> Written:
    return Written(when=when, then=then, reason="because it was decided so", approvals=approvals)


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(written, "_LIBRARY", "no_such_library_here.cel")
    compiled.cache_clear()
    yield
    compiled.cache_clear()


@pytest.mark.rows("F106", "L3")
def test_a_written_rule_refuses_or_asks_for_people() -> None:
    assert judged(facts(), with_rules(a=a_rule("kind == 'law'"))).allowed
    refused = judged(facts(), with_rules(a=a_rule("kind == 'new_team' && files == 2")))
    assert blocked_by(refused) == {"written": Outcome.DENY} and "because it was decided so" in refused.reason
    two = with_rules(a=a_rule("members > 2 && daily_budget_usd >= 10.0", "needs_approval", 2))
    two = two.model_copy(update={"changes": two.changes.model_copy(update={"people": ("owner", "second")})})
    assert blocked_by(judged(facts(), two)) == {"written": Outcome.NEEDS_APPROVAL}
    assert judged(facts(reviews=(approval(), approval("second"))), two).allowed


@pytest.mark.parametrize("when", ["1 / (files - 2) == 1", "team.matches(team + '(')", "tools[3] == 'x'"])
def test_an_expression_without_an_answer_is_a_no(when: str) -> None:
    verdict = judged(facts(), with_rules(a=a_rule(when)))
    assert blocked_by(verdict) == {"written": Outcome.DENY}
    assert "has no answer" in verdict.reason


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("kidn == 'law'", "undeclared reference"),
        ("files == 'three'", "is no CEL expression"),
        ("files +", "is no CEL expression"),
        ("files + 1", "true or false"),
        ("paths.all(a, paths.all(b, a == b))", "write two rules"),
        ("'" + "x" * 600 + "' == kind", "at most 500"),
    ],
)
def test_an_expression_that_cannot_be_meant_makes_the_law_unreadable(when: str, said: str) -> None:
    text = f"rules:\n  a:\n    when: {when!r}\n    then: deny\n    reason: because it was decided so\n"
    with pytest.raises(BadLaw, match=r"policies/rules\.yaml: rules\.a") as refused:
        law.read(policy_files() | {"rules.yaml": text.encode()})
    assert said in str(refused.value)


def test_no_rule_can_say_yes() -> None:
    with pytest.raises(ValueError, match=r"deny.*needs_approval"):
        Written.model_validate({"when": "true", "then": "allow", "reason": "because it was decided so"})


def test_a_law_with_such_rules_is_refused_where_the_library_is_missing(without_library: None) -> None:
    text = b"rules:\n  a: {when: files > 3, then: deny, reason: because it was decided so}\n"
    with pytest.raises(BadLaw, match="want the library cel-expr-python, which is not installed"):
        law.read(policy_files() | {"rules.yaml": text})
    assert law.read(policy_files()).rules.rules == {}


def test_a_library_that_goes_missing_afterwards_makes_a_no(without_library: None) -> None:
    law_ = amended(rules={"rules": {"a": Written.model_construct(when="files > 3", then="deny", reason="x" * 10)}})
    assert blocked_by(judged(facts(), law_)) == {"written": Outcome.DENY}


def test_every_variable_is_given_with_its_type() -> None:
    from policies.case import Case

    values = values_of(Case(facts(), amended(), NOW))
    assert set(values) == set(VARIABLES)
    for name, signature in VARIABLES.items():
        probe = {"string": f"{name} != 'x'", "int": f"{name} >= 0", "double": f"{name} >= 0.0", "bool": f"!{name}"}
        assert holds(probe.get(signature, f"size({name}) >= 0"), values) in (True, False)


def test_cost_is_bounded_whatever_is_written() -> None:
    from policies.case import Case

    large = facts(files=files(*(f"teams/a/f{n}" for n in range(20_000))))
    values = values_of(Case(large, amended(), NOW))
    began = time.process_time()
    with pytest.raises(CannotTell):
        holds("paths.exists(one, one == 'nowhere')", values)
    assert not holds("'x' in paths && branch.matches('(x+x+)+y')", values)
    assert time.process_time() - began < 2


@pytest.mark.rows("L3")
def test_a_written_rule_never_widens() -> None:
    rules = st.sampled_from(
        [a_rule("true"), a_rule("false"), a_rule("kind == 'new_team'", "needs_approval"), a_rule("1 / files == 1"),
         a_rule("by_person", "needs_approval", 2)]
    )  # fmt: skip

    @settings(max_examples=200, deadline=None)
    @given(overridden, laws, rules)
    def search(change: Facts, base: Law, rule: Written) -> None:
        more = base.model_copy(update={"rules": Rules.model_construct(rules={"a": rule})})
        assert not evaluate(change, more, NOW).allowed or evaluate(change, base, NOW).allowed

    search()


def test_where_written_rules_replaced_the_others_one_would_widen() -> None:
    """The planted hole: a gate that asks the written rules instead of its own."""
    only = [(name, rule) for name, rule in RULES if name == "written"]
    lax = with_rules(a=a_rule("false"))
    change = facts(reviews=())
    assert not judged(change, lax).allowed and evaluate(change, lax, NOW, only).allowed
    assert answer(judged(change, lax), "written") is not None
