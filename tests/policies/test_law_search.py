"""What no override, lane, freeze, staleness, rate or further rule may do: searched for, and each search finds a planted hole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import product
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from policies import auto_merge, lifting, people_rules
from policies import evaluate as evaluating
from policies.case import Case, Rule
from policies.evaluate import evaluate
from policies.facts import Facts, Kind, Override, Slot
from policies.kinds import Ground, ground_of, kind_of
from policies.law import Law, Liftable
from policies.rules import RULES
from policies.verdict import Outcome, Verdict, allow, deny, needs_approval, pending
from tests.policies.cases import BEFORE, HEAD, NOW, OTHER_HEAD, approval, facts, files, spec, team
from tests.policies.worlds import everything, frozen, law_of, laws, overridden

Broken = Callable[[Facts, Law], bool]
thorough = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def verdict_of(change: Facts, law: Law, rules: Sequence[tuple[str, Rule]] = RULES) -> Verdict:
    return evaluate(change, law, NOW, rules)


def without_overrides(change: Facts) -> Facts:
    return change.model_copy(update={"overrides": ()})


def people_who_agreed(change: Facts, law: Law) -> set[str]:
    """Listed people who approved this head, or whose override of this head was given by one whom the law names for it."""
    said = {it.who.casefold() for it in change.reviews if it.state == "approved" and it.commit == change.head}
    said |= {it.who.casefold() for it in change.overrides if it.head == change.head and law.overrides.names(it.who)}
    return said & {it.casefold() for it in law.changes.people}


def counts(it: Override, change: Facts, law: Law) -> bool:
    """The definition once more, in other words than the gate's."""
    named = it.who.casefold() in [by.casefold() for by in law.overrides.by]
    person = it.who.casefold() in [name.casefold() for name in law.changes.people]
    hours = (it.until - it.at).total_seconds() / 3600
    timely = it.at <= NOW and it.until > NOW and hours <= law.overrides.at_most_hours
    return named and person and timely and it.head == change.head and len(it.reason) >= law.overrides.reason_of_at_least


MAY_BE_LIFTED = {
    "new_teams": "limits", "cooldown": "limits", "rates": "limits", "open_changes": "limits",
    "daily_budget": "costs", "forecast": "costs", "freeze": "freeze", "approvals": "own_approval",
}  # fmt: skip


def lifts_the_unliftable(change: Facts, law: Law) -> bool:
    """Allowed with overrides, though without them a rule says no, or one that the law does not list says wait or ask."""
    if not verdict_of(change, law).allowed:
        return False
    before = verdict_of(without_overrides(change), law)
    return any(
        child.outcome is Outcome.DENY or MAY_BE_LIFTED.get(child.rule) not in law.overrides.liftable
        for child in before.children
        if not child.allowed
    )


def idle_override_acts(change: Facts, law: Law) -> bool:
    """An override that does not count changes the verdict."""
    if any(counts(it, change, law) for it in change.overrides):
        return False
    return verdict_of(change, law).outcome is not verdict_of(without_overrides(change), law).outcome


def own_approval_for_another(change: Facts, law: Law) -> bool:
    """Nobody approved, it is not by the one person of a company of one, and yet an override made it pass the approvals."""
    wanted = {name.casefold() for name in law.changes.people}
    alone = wanted == {change.author.casefold()} == {change.requester.casefold().removeprefix("person:")}
    if alone:
        return False

    def passed(it: Facts) -> bool:
        return any(child.rule == "approvals" and child.allowed for child in verdict_of(it, law).children)

    return passed(change) and not passed(without_overrides(change))


def constitution_alone(change: Facts, law: Law) -> bool:
    """Merged without a person though it touches the constitution."""
    touched = not change.files or any(ground_of(it.path) is Ground.CONSTITUTION for it in change.files)
    return touched and verdict_of(change, law).allowed and not people_who_agreed(change, law)


def budget_rose_alone(change: Facts, law: Law) -> bool:
    """A living team's budget is higher afterwards, and no person agreed."""
    team_ = change.team
    if team_ is None or team_.spec_before is None or team_.spec_after is None or team_.tree_before is None:
        return False
    rises = team_.spec_after.daily_budget_usd_micro > team_.spec_before.daily_budget_usd_micro
    return rises and verdict_of(change, law).allowed and not people_who_agreed(change, law)


def unevaluated(change: Facts, law: Law) -> bool:
    """Merged though the branch, or main, is not where the facts are from."""
    moved = change.head != change.head_in_repository or change.base != change.base_in_repository
    return moved and verdict_of(change, law).allowed


def judge_changed(change: Facts, law: Law) -> bool:
    """An agent's change outside teams/ and the catalogue that is not refused."""
    person = change.author.casefold() in {name.casefold() for name in law.changes.people}
    outside = any(ground_of(it.path) is Ground.CONSTITUTION for it in change.files)
    return not person and outside and verdict_of(change, law).outcome is not Outcome.DENY


def no_became_yes(change: Facts, law: Law) -> bool:
    """Not allowed, and allowed once an approval is taken away."""
    if verdict_of(change, law).allowed:
        return False
    fewer = (
        change.reviews[:at] + change.reviews[at + 1 :] for at, it in enumerate(change.reviews) if it.state == "approved"
    )
    return any(verdict_of(change.model_copy(update={"reviews": reviews}), law).allowed for reviews in fewer)


def wider_by(part: str, field: str) -> Broken:
    """Allowed with the restriction, and not without it."""

    def widened(change: Facts, law: Law) -> bool:
        default = type(getattr(law, part)).model_fields[field].get_default(call_default_factory=True)
        current = getattr(law, part)
        lax = law.model_copy(update={part: current.model_copy(update={field: default})})
        return verdict_of(change, law).allowed and not verdict_of(change, lax).allowed

    return widened


INVARIANTS: dict[str, Broken] = {
    "an override lifts only what the law lists, and never a no": lifts_the_unliftable,
    "an override that does not count changes nothing": idle_override_acts,
    "nobody overrides the approval of another's change": own_approval_for_another,
    "the constitution never changes without a person": constitution_alone,
    "budgets never rise without a person": budget_rose_alone,
    "no unevaluated commit is merged": unevaluated,
    "an agent cannot change what judges it": judge_changed,
    "removing an approval never turns no into yes": no_became_yes,
    "a freeze never widens": wider_by("limits", "freeze"),
    "staleness never widens": wider_by("limits", "stale"),
    "a rate never widens": wider_by("limits", "rates"),
    "a zone's demand never widens": wider_by("changes", "zones"),
}


@pytest.mark.rows("L3", "F104", "F106", "F107")
@pytest.mark.parametrize("name", INVARIANTS)
def test_no_world_under_any_law_breaks_it(name: str) -> None:
    broken = INVARIANTS[name]

    @thorough
    @given(overridden, laws)
    def search(change: Facts, law: Law) -> None:
        assert not broken(change, law)

    search()


# ---------------------------------------------------------------- planted holes


def no_into_yes(answer: Verdict, case: Case) -> Verdict:
    """An override that lifts whatever it names."""
    named = any(answer.rule in it.rules for it in case.facts.overrides)
    return allow(answer.rule, "lifted") if named else answer


def whoever(self: Case, it: Override) -> bool:
    return it.head == self.facts.head


def any_head(self: Case, it: Override) -> bool:
    return self.law.overrides.names(it.who) and it.at <= self.now < it.until


def anybodys(self: Case) -> Override | None:
    return self.override("approvals", Liftable.OWN_APPROVAL)


def frozen_is_safe(case: Case) -> Verdict | None:
    """Who reasons that nothing is merged in a freeze anyway need not ask for approvals."""
    return allow("approvals", "frozen") if case.law.limits.freeze else people_rules.approvals(case)


def stale_is_harmless(case: Case) -> Verdict | None:
    return allow("approvals", "it is closed anyway") if case.law.limits.stale else people_rules.approvals(case)


def counted_is_enough(case: Case) -> Verdict | None:
    return allow("approvals", "counted") if case.law.limits.rates else people_rules.approvals(case)


def zone_instead_of_kind(case: Case) -> Verdict | None:
    """Whose zone demands nothing is not asked for anybody, whatever its kind."""
    zones = case.law.changes.zones
    if zones and not any(ground in zones for ground in case.grounds):
        return allow("approvals", "no zone speaks of it")
    return people_rules.approvals(case)


def at_most_one(case: Case) -> Verdict | None:
    return deny("alone", "too many agree") if len(case.approvals) > 1 else None


def plant(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    match hole:
        case "an override lifts any rule it names":
            monkeypatch.setattr(evaluating, "lifted", no_into_yes)
        case "a no can be lifted":
            soft = frozenset({Outcome.PENDING, Outcome.NEEDS_APPROVAL, Outcome.DENY})
            monkeypatch.setattr(lifting, "_SOFT", soft)
            monkeypatch.setattr(
                lifting,
                "LIFTS",
                MappingProxyType({**lifting.LIFTS, "rerender": Liftable.LIMITS, "paths": Liftable.LIMITS}),
            )
        case "waiting is always soft":
            monkeypatch.setattr(lifting, "LIFTS", MappingProxyType({**lifting.LIFTS, "fresh": Liftable.LIMITS}))
        case "authority is not asked":
            rules = tuple((name, rule) for name, rule in RULES if name != "authority")
            monkeypatch.setattr(verdict_of, "__defaults__", (rules,))
        case "two approvals are suspicious":
            rules = (*RULES, ("alone", at_most_one))
            monkeypatch.setattr(verdict_of, "__defaults__", (rules,))
        case "an agent's override counts":
            monkeypatch.setattr(Case, "_stands", whoever)
        case "an override outlives its commit":
            monkeypatch.setattr(Case, "_stands", any_head)
        case "own approval without being alone":
            monkeypatch.setattr(Case, "own_approval", property(anybodys))
        case "meta-teams are teams":
            monkeypatch.setattr(Case, "grounds", property(lambda _self: frozenset({Ground.TEAMS})))
        case "nobody looks at the budget":
            monkeypatch.setattr(Case, "budget_rises", property(lambda _self: False))
        case _:
            rule = {
                "frozen needs nobody": frozen_is_safe,
                "stale needs nobody": stale_is_harmless,
                "counted needs nobody": counted_is_enough,
                "a zone replaces the kind": zone_instead_of_kind,
            }[hole]
            rules = tuple((name, rule if name == "approvals" else old) for name, old in RULES)
            monkeypatch.setattr(verdict_of, "__defaults__", (rules,))


HOLES = {
    "an override lifts any rule it names": "an override lifts only what the law lists, and never a no",
    "a no can be lifted": "an override lifts only what the law lists, and never a no",
    "an agent's override counts": "an override that does not count changes nothing",
    "an override outlives its commit": "an override that does not count changes nothing",
    "waiting is always soft": "no unevaluated commit is merged",
    "authority is not asked": "an agent cannot change what judges it",
    "two approvals are suspicious": "removing an approval never turns no into yes",
    "own approval without being alone": "nobody overrides the approval of another's change",
    "meta-teams are teams": "the constitution never changes without a person",
    "nobody looks at the budget": "budgets never rise without a person",
    "frozen needs nobody": "a freeze never widens",
    "stale needs nobody": "staleness never widens",
    "counted needs nobody": "a rate never widens",
    "a zone replaces the kind": "a zone's demand never widens",
}


@pytest.mark.rows("L3")
@pytest.mark.parametrize("hole", HOLES)
def test_the_search_finds_a_planted_hole(hole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, hole)
    assert found(INVARIANTS[HOLES[hole]]) is not None
    assert set(HOLES.values()) == set(INVARIANTS), "an invariant without a hole may be one that cannot fail"


def found(broken: Broken) -> tuple[Facts, Law] | None:
    """A counter-example among all small worlds, or else among many large ones."""
    if (small := next((world for world in small_worlds() if broken(*world)), None)) is not None:
        return small
    searching = settings(max_examples=6000, deadline=None, phases=[Phase.generate], database=None)
    try:
        return find(st.tuples(overridden, laws), lambda world: broken(*world), settings=searching)
    except NoSuchExample:
        return None


# ---------------------------------------------------------------- further rules


def fails(_case: Case) -> Verdict:
    raise ZeroDivisionError("by design")


ANSWERS: dict[str, Rule] = {
    "yes": lambda _case: allow("further", "yes"),
    "wait": lambda _case: pending("further", "wait", NOW + timedelta(hours=1)),
    "ask": lambda _case: needs_approval("further", "ask"),
    "no": lambda _case: deny("further", "no"),
    "nothing": lambda _case: None,
    "fails": fails,
    "says another's name": lambda _case: allow("approvals", "all agreed"),
}


def widens(change: Facts, law: Law, answer: str) -> bool:
    more = (*RULES, ("further", ANSWERS[answer]))
    return verdict_of(change, law, more).allowed and not verdict_of(change, law).allowed


@pytest.mark.rows("L3")
def test_adding_a_rule_never_widens_whatever_it_answers() -> None:
    @thorough
    @given(overridden, laws, st.sampled_from(sorted(ANSWERS)))
    def search(change: Facts, law: Law, answer: str) -> None:
        assert not widens(change, law, answer)
        more = verdict_of(change, law, (*RULES, ("further", ANSWERS[answer])))
        assert not (answer in ("wait", "ask", "no", "fails") and more.allowed)

    search()


@pytest.mark.rows("L3")
def test_a_gate_where_one_yes_is_enough_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_yes(rule: str, children: Sequence[Verdict]) -> Verdict:
        best = min(children, key=lambda child: list(Outcome).index(child.outcome))
        return Verdict(outcome=best.outcome, rule=rule, reason=best.reason, children=tuple(children))

    strict = [("approvals", people_rules.approvals), ("objections", ANSWERS["no"])]
    monkeypatch.setattr(evaluating, "combine", one_yes)
    change, law = facts(reviews=()), law_of()
    assert not verdict_of(change, law, strict).allowed
    assert verdict_of(change, law, [*strict, ("further", ANSWERS["yes"])]).allowed


# ---------------------------------------------------------------- every small world

SMALL_OVERRIDES: dict[str, dict[str, Any]] = {
    "none": {},
    "good": {"who": "owner"},
    "another head": {"who": "owner", "head": OTHER_HEAD},
    "run out": {"who": "owner", "until": NOW},
    "not named": {"who": "second"},
    "an agent": {"who": "elf-devops"},
    "no reason": {"who": "owner", "reason": "so"},
}
SMALL_CHANGES: dict[str, Facts] = {
    "agent's new team": facts(reviews=()),
    "approved new team": facts(),
    "edited": facts(team=team(different=("x.py",))),
    "moved": facts(head_in_repository=OTHER_HEAD),
    "dear": facts(team=team(forecast_usd_micro_month=10**10)),
    "owner's law": facts(author="owner", requester="owner", team=None, reviews=(), files=files("policies/limits.yaml")),
    "owner's law, mixed": facts(
        author="owner", requester="owner", team=None, reviews=(), files=files("policies/limits.yaml", "README.md")
    ),
    "agent's law": facts(team=None, files=files("policies/limits.yaml"), reviews=(approval(),)),
    "full": facts(slots=tuple(Slot(number=n, state="consumed", at=NOW - timedelta(hours=2)) for n in range(1, 6))),
    "approved twice": facts(reviews=(approval(), approval(at=NOW + timedelta(minutes=1)))),
    "budget up": facts(team=team(tree_before=BEFORE, spec_before=spec(daily_budget_usd_micro=1)), reviews=()),
}


def small_worlds() -> list[tuple[Facts, Law]]:
    found: list[tuple[Facts, Law]] = []
    lawbooks = [
        law_of(people=people, liftable=liftable, limits={"freeze": freeze})
        for people, liftable, freeze in product(
            [("owner",), ("owner", "second")], [(), *((one,) for one in everything), everything], [None, frozen]
        )
    ]
    for change, given_, law in product(SMALL_CHANGES.values(), SMALL_OVERRIDES.values(), lawbooks):
        base: dict[str, Any] = {"head": HEAD, "reason": "the launch on Monday needs three more teams", "at": NOW - timedelta(hours=1),
                "until": NOW + timedelta(hours=1), "seq": 1, "rules": tuple(name for name, _ in RULES)}  # fmt: skip
        overrides = (Override(**(base | given_)),) if given_ else ()
        found.append((change.model_copy(update={"overrides": overrides}), law))
    return found


@pytest.mark.rows("L3", "F106")
def test_in_every_small_world_every_invariant_holds_and_an_override_does_what_it_is_for() -> None:
    worlds = small_worlds()
    passed = 0
    for change, law in worlds:
        for name, broken in INVARIANTS.items():
            assert not broken(change, law), name
        if kind_of(change) is Kind.LAW and change.author == "elf-devops":
            assert verdict_of(change, law).outcome is Outcome.DENY
        passed += verdict_of(change, law).allowed and not verdict_of(without_overrides(change), law).allowed
    assert len(worlds) == 11 * 7 * 24
    assert passed > 10, "no override lifted anything: the worlds prove nothing"
    assert auto_merge.lane_of(Case(facts(), law_of(), NOW)) is None
