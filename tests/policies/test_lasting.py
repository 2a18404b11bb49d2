"""No readable change to the law makes the law unchangeable: searched for, with holes planted; and rules that leave the ways back free."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from policies import lasting, law
from policies.facts import Facts, Kind, LawFacts, Override
from policies.kinds import Ground
from policies.lasting import why_locked, why_unheard
from policies.law import BadLaw, From, GroundLaw, KindLaw, KindRate, Law, Liftable
from policies.rules import RULES
from policies.verdict import Outcome
from policies.written import Rules, Written
from tests.policies.cases import (
    HEAD,
    NOW,
    amended,
    answer,
    approval,
    blocked_by,
    facts,
    files,
    judged,
    policy_files,
    rollback,
    the_law,
)
from tests.policies.worlds import law_of

WHY = "because it was decided so"
FILES = tuple(f"policies/{name}.yaml" for name in law.FILES)


def a_rule(when: str, then: Any = "deny", kinds: tuple[Kind, ...] | None = None, approvals: int = 1) -> Written:
    return Written(when=when, then=then, reason=WHY, kinds=kinds, approvals=approvals)


def law_kind(**fields: Any) -> dict[Kind, KindLaw]:
    kinds = dict(the_law().changes.kinds)
    return kinds | {Kind.LAW: kinds[Kind.LAW].model_copy(update=fields)}


def without_law_kind() -> dict[Kind, KindLaw]:
    return {kind: one for kind, one in the_law().changes.kinds.items() if kind is not Kind.LAW}


LOCKED: dict[str, Law] = {
    "nobody may propose it": law_of(changes={"kinds": law_kind(people_in=())}),
    "it may be proposed elsewhere alone": law_of(changes={"kinds": law_kind(people_in=("teams",))}),
    "more approvals than people": law_of(changes={"kinds": law_kind(approvals=9)}),
    "a zone wants more than people": law_of(changes={"zones": {Ground.CONSTITUTION: GroundLaw(approvals=2)}}),
    "one of its files is out of reach": law_of(changes={"kinds": law_kind(only_paths=("policies/limits[.]yaml",))}),
    "nothing is said of it": law_of(changes={"kinds": without_law_kind()}),
    "one person, no override": law_of(people=("owner",), liftable=()),
    "one person, whom nobody named": law_of(people=("owner",), by=()),
    "one person and two approvals": law_of(people=("owner",), changes={"kinds": law_kind(approvals=2)}),
    "a group that is the author": law_of(
        people=("owner",),
        changes={"groups": {"all": ("owner",)}, "kinds": law_kind(approvals=1, approvals_from=(From(group="all"),))},
        liftable=(Liftable.COSTS,),
    ),
    "no open change is allowed": law_of(limits={"open_changes_per_requester": 0}, liftable=()),
    "no change of its kind is allowed": law_of(limits={"rates": {"law": KindRate(kinds=(Kind.LAW,), at_most=0)}}),
    "it is read where nothing goes": law_of(changes={"target": "elsewhere"}),
}


@pytest.mark.rows("F106", "L3")
@pytest.mark.parametrize("name", LOCKED)
def test_a_law_that_nobody_could_change_again_is_found_out(name: str) -> None:
    assert why_locked(LOCKED[name]) is not None


@pytest.mark.parametrize(
    "open_law",
    [
        the_law(),
        law_of(),
        law_of(limits={"open_changes_per_requester": 0}),
        law_of(changes={"zones": {Ground.CONSTITUTION: GroundLaw(approvals=1)}}),
        law_of(limits={"rates": {"law": KindRate(kinds=(Kind.LAW,), at_most=1, cooldown_seconds=3600)}}),
    ],
)
def test_a_law_with_a_way_to_change_it_is_not_called_locked(open_law: Law) -> None:
    assert why_locked(open_law) is None


def owners_law_change(after: Law, reviewed_by: tuple[str, ...] = ()) -> Facts:
    """What the gate reads of a change that the owner of a company of one makes: see `mcp_servers.git.facts`."""
    known = {*the_law().changes.people, "owner", *reviewed_by}
    of = LawFacts(
        tree="9" * 40,
        problem=why_unheard(after),
        locked=why_locked(after),
        unproven=why_locked(after, known),
    )
    return facts(author="owner", requester="owner", team=None, reviews=(), files=files("policies/limits.yaml"), law=of)


@pytest.mark.rows("F106")
def test_the_gate_refuses_a_law_that_locks_itself_and_asks_whom_it_adds_to_show_themselves() -> None:
    refused = answer(judged(owners_law_change(LOCKED["nobody may propose it"])), "law_readable")
    assert refused is not None and refused.outcome is Outcome.DENY
    assert "could never be changed again: authority: the person 'owner'" in refused.reason
    stranger = law_of(people=("stranger",), by=("stranger",))
    asked = answer(judged(owners_law_change(stranger)), "law_readable")
    assert asked is not None and asked.outcome is Outcome.NEEDS_APPROVAL and "which shows that they are" in asked.reason
    shown = answer(judged(owners_law_change(stranger, ("stranger",))), "law_readable")
    assert shown is not None and shown.allowed


# ---------------------------------------------------------------- the search

_counts = st.integers(0, 3)


def demanding(count: int, groups: tuple[From, ...]) -> dict[Ground, GroundLaw]:
    return {Ground.CONSTITUTION: GroundLaw(approvals=count, approvals_from=groups)}


def rated(count: int) -> dict[str, KindRate]:
    return {"law": KindRate(kinds=(Kind.LAW,), at_most=count)}


wild_laws = st.builds(
    law_of,
    people=st.sampled_from([("owner",), ("owner", "second"), ("second",), ("owner", "second", "third")]),
    by=st.sampled_from([("owner",), (), ("second",)]),
    liftable=st.lists(st.sampled_from(tuple(Liftable)), max_size=4, unique=True).map(tuple),
    changes=st.fixed_dictionaries(
        {"groups": st.just({"all": ("owner",)})},
        optional={
            "kinds": st.builds(
                law_kind,
                people_in=st.sampled_from([(), ("policies",), ("teams",), (".",)]),
                approvals=_counts.map(lambda n: n or 1),
                approvals_from=st.sampled_from([(), (From(group="all"),)]),
                only_paths=st.sampled_from([None, ("policies/.*",), ("policies/l[a-z]*[.]yaml",)]),
            ),
            "zones": st.builds(
                demanding,
                _counts,
                st.sampled_from([(), (From(group="all"),)]),
            ),
        },
    ),
    limits=st.fixed_dictionaries(
        {},
        optional={
            "open_changes_per_requester": _counts,
            "rates": st.builds(rated, _counts),
        },
    ),
    rules=st.sampled_from([{"rules": {}}]),
)


def changeable(after: Law, path: str, people: tuple[str, ...]) -> bool:
    """Whether some change to this file, by one of these people and with any of the others' yes, would be merged. Brute force."""
    for author in people:
        reviews = tuple(approval(other) for other in people if other != author)
        plain = facts(author=author, requester=author, team=None, files=files(path), reviews=reviews, slots=())
        given = Override(
            who=author, head=HEAD, rules=tuple(name for name, _ in RULES), reason="a reason that is long enough",
            at=NOW - timedelta(minutes=1), until=NOW + timedelta(hours=1), seq=1,
        )  # fmt: skip
        by_others = tuple(given.model_copy(update={"who": who}) for who in people)
        if judged(plain, after).allowed or judged(plain.model_copy(update={"overrides": by_others}), after).allowed:
            return True
    return False


def locks_itself(after: Law) -> bool:
    """The gate would let this law in, and then one of its files could not be changed by those of whom the company knows."""
    readable = answer(judged(owners_law_change(after)), "law_readable")
    here = tuple(login for login in after.changes.people if login == "owner")
    return readable is not None and readable.allowed and not all(changeable(after, path, here) for path in FILES)


@pytest.mark.rows("F106", "L3")
def test_no_readable_law_change_makes_the_law_unchangeable() -> None:
    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(wild_laws)
    def search(after: Law) -> None:
        assert not locks_itself(after)

    search()
    assert not any(locks_itself(one) for one in LOCKED.values())


def nobody_asks(*_: object, **__: object) -> None:
    return None


def everybody_is_there(
    after: Law, people: object = None, *, target: str = "main", asked: Callable[..., str | None] = why_locked
) -> str | None:
    return asked(after, target=target)


def only_proposing_counts(after: Law, people: object = None, *, target: str = "main") -> str | None:
    return None if after.changes.kinds[Kind.LAW].people_in else "nobody may propose it"


@pytest.mark.rows("L3")
@pytest.mark.parametrize("hole", [nobody_asks, everybody_is_there, only_proposing_counts])
def test_the_search_finds_a_planted_hole(hole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "why_locked", hole)
    searching = settings(max_examples=2000, deadline=None, phases=[Phase.generate], database=None)
    try:
        assert locks_itself(find(wild_laws, locks_itself, settings=searching))
    except NoSuchExample:
        pytest.fail("the search found nothing")


# ---------------------------------------------------------------- written rules and the ways back


@pytest.fixture
def cel() -> None:
    pytest.importorskip("cel_expr_python", reason="cel-expr-python is an extra")


def ruled(rule: Written, people: tuple[str, ...] = ("owner", "second")) -> Law:
    return law_of(people=people, rules=Rules(rules={"mine": rule}).model_dump() | {"rules": {"mine": rule}})


OWNERS: dict[str, Any] = {"author": "owner", "requester": "owner", "team": None, "files": files(*FILES)}


@pytest.mark.rows("F108", "L3")
@pytest.mark.parametrize("when", ["hour >= 0", "1 / (files - files) == 1"])
def test_a_written_rule_that_refuses_everything_leaves_the_ways_back_free(cel: None, when: str) -> None:
    everything = ruled(a_rule(when))
    assert blocked_by(judged(facts(), everything)) == {"written": Outcome.DENY}
    assert judged(facts(**OWNERS, reviews=(approval("second"),)), everything).allowed
    assert judged(rollback(), everything).allowed
    assert why_locked(everything) is None


def test_a_written_rule_may_name_the_ways_back_but_never_refuse_a_law(cel: None) -> None:
    sunday = ruled(a_rule("weekday >= 1", kinds=(Kind.ROLLBACK_TEAM,)))
    assert blocked_by(judged(rollback(), sunday)) == {"written": Outcome.DENY}
    assert judged(facts(), sunday).allowed
    text = f"rules:\n  a: {{when: hour >= 0, then: deny, kinds: [law], reason: {WHY}}}\n"
    with pytest.raises(BadLaw, match="may never be taken out again"):
        law.read(policy_files() | {"rules.yaml": text.encode()})


def test_a_rule_about_laws_asks_and_one_without_an_answer_asks_too(cel: None) -> None:
    for when in ("files > 3", "1 / (files - files) == 1"):
        two = ruled(a_rule(when, "needs_approval", (Kind.LAW,), 2), ("owner", "second", "third"))
        assert blocked_by(judged(facts(**OWNERS, reviews=(approval("second"),)), two)) == {
            "written": Outcome.NEEDS_APPROVAL
        }
        assert judged(facts(**OWNERS, reviews=(approval("second"), approval("third"))), two).allowed
    seldom = a_rule("files > 100", "needs_approval", (Kind.LAW,), 2)
    assert why_locked(ruled(seldom)) is not None and why_locked(ruled(seldom, ("owner", "second", "third"))) is None


@pytest.mark.parametrize(
    ("rule", "heard"),
    [
        (("kind == 'law' && files > 3", None), False),
        (("kind in ['platform', \"law\"]", None), False),
        (("kind == 'rollback_team'", None), False),
        (("kind != 'law' && files > 3", None), True),
        (("kind == 'new_team'", None), True),
        (("kind == 'law' && files > 3", (Kind.LAW,)), True),
    ],
)
def test_a_rule_that_speaks_of_a_kind_it_is_not_asked_of_is_found_out(cel: None, rule: Any, heard: bool) -> None:
    when, kinds = rule
    assert (why_unheard(ruled(a_rule(when, "needs_approval", kinds))) is None) is heard


def test_the_checkouts_own_law_can_be_changed() -> None:
    assert why_locked(amended()) is None and lasting.why_unheard(amended()) is None
