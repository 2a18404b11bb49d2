"""The gate: facts and law in, a verdict out. Pure; the same inputs give the same verdict at any time and place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from policies.case import Case, Rule
from policies.facts import Facts
from policies.law import Law
from policies.lifting import lifted
from policies.rules import RULES
from policies.verdict import Verdict, combine, deny


def evaluate(facts: Facts, law: Law, now: datetime, rules: Sequence[tuple[str, Rule]] = RULES) -> Verdict:
    """What may become of the change, with every rule's answer as a child. Never raises: a rule that does, denies."""
    case = Case(facts, law, now)
    answers = [_answer(name, rule, case) for name, rule in rules]
    return combine("gate", [lifted(answer, case) for answer in answers if answer is not None])


def refused(why: str) -> Verdict:
    """The verdict on a change that could not be judged: a gate that did not run has not said yes."""
    return combine("gate", [deny("gate_ran", why)])


def _answer(name: str, rule: Rule, case: Case) -> Verdict | None:
    try:
        return rule(case)
    except Exception as error:  # noqa: BLE001 (whatever goes wrong in a rule, the answer is no and says so)
        return deny(name, f"this rule failed ({type(error).__name__}: {str(error)[:200]}); a person must look into it")
