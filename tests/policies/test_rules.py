"""Every rule, both ways: a change it allows, and the same change with one thing wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from policies.case import Case
from policies.facts import MICRO, Facts, Kind, ServerFacts, Slot
from policies.kinds import kind_of
from policies.law import KindLaw, Rate, Sizes
from policies.verdict import Missing, Outcome
from tests.policies.cases import (
    AFTER,
    BASE,
    BEFORE,
    HEAD,
    NOW,
    OTHER_HEAD,
    VERIFIED,
    amended,
    answer,
    approval,
    blocked_by,
    facts,
    files,
    judged,
    objection,
    rollback,
    spec,
    team,
    the_law,
)  # fmt: skip

HERE = "teams/marketing_team/"
PERSONS: dict[str, Any] = {"author": "owner", "requester": "owner", "branch": "auto/mine", "team": None}


def test_a_proposed_and_approved_new_team_is_allowed_and_every_rule_says_why() -> None:
    verdict = judged(facts())
    assert verdict.allowed, verdict.text()
    assert {child.rule for child in verdict.children} >= {"paths", "authority", "rerender", "new_teams", "approvals"}
    assert all(child.reason for child in verdict.children)


@pytest.mark.rows("F107", "F108")
def test_a_rollback_to_a_verified_tree_needs_nobody() -> None:
    assert judged(rollback()).allowed


@pytest.mark.rows("F99", "F106")
@pytest.mark.parametrize(
    ("wrong", "rule", "outcome"),
    [
        ({"state": "closed"}, "refs", Outcome.DENY),
        ({"draft": True}, "refs", Outcome.DENY),
        ({"target": "release"}, "refs", Outcome.DENY),
        ({"branch": "feature/x"}, "refs", Outcome.DENY),
        ({"head_in_repository": OTHER_HEAD}, "fresh", Outcome.PENDING),
        ({"base_in_repository": OTHER_HEAD}, "fresh", Outcome.PENDING),
        ({"read_at": NOW - timedelta(minutes=5)}, "fresh", Outcome.PENDING),
        ({"conflicts": ("teams/marketing_team/team.yaml",)}, "mergeable", Outcome.DENY),
        ({"conflicts": ()}, "mergeable", Outcome.DENY),
        ({"files": ()}, "paths", Outcome.DENY),
        ({"files": files(HERE + "link", mode="120000")}, "paths", Outcome.DENY),
        ({"files": files(HERE + "sub", mode="160000")}, "paths", Outcome.DENY),
        ({"files": files(HERE + "../runtime/server.py")}, "paths", Outcome.DENY),
        ({"files": files(HERE + ".git/config")}, "paths", Outcome.DENY),
        ({"files": files(HERE + "réadme.md")}, "paths", Outcome.DENY),
        ({"files": files(HERE + "te\\xffam.yaml")}, "paths", Outcome.DENY),
        ({"files": files(HERE + "a b.md")}, "paths", Outcome.DENY),
        ({"files": files(HERE + "A.md", HERE + "a.md")}, "paths", Outcome.DENY),
        ({"files": files(HERE + "big", size=300_000)}, "sizes", Outcome.DENY),
        ({"files": files(*(HERE + f"f{n}" for n in range(121)))}, "sizes", Outcome.DENY),
        ({"files": files(*(HERE + f"f{n}" for n in range(11)), size=100_000)}, "sizes", Outcome.DENY),
        ({"team": team(problem="ValueError: two managers", spec_after=None)}, "spec", Outcome.DENY),
        ({"team": team(spec_after=spec(name="sales-team", folder="sales_team"))}, "spec", Outcome.DENY),
        ({"team": team(different=("agents/writer.py",))}, "rerender", Outcome.DENY),
        ({"team": team(extra=("backdoor.py",))}, "rerender", Outcome.DENY),
        ({"team": team(missing=("Dockerfile",))}, "rerender", Outcome.DENY),
        ({"team": team(problem="BadSpec: x", spec_after=None)}, "rerender", Outcome.DENY),
        ({"team": team(namesakes=(("meta_teams", "marketing_team"),))}, "free_name", Outcome.DENY),
        ({"team": team(spec_after=spec(tools=(("writer", False, "git__propose_team"),)))}, "tools", Outcome.DENY),
        ({"team": team(spec_after=spec(daily_budget_usd_micro=11 * MICRO))}, "daily_budget", Outcome.NEEDS_APPROVAL),
        ({"team": team(forecast_usd_micro_month=1001 * MICRO)}, "forecast", Outcome.NEEDS_APPROVAL),
        ({"team": team(forecast_usd_micro_month=None)}, "forecast", Outcome.NEEDS_APPROVAL),
        ({"open_before": 10}, "open_changes", Outcome.PENDING),
        ({"reviews": ()}, "approvals", Outcome.NEEDS_APPROVAL),
        ({"reviews": (objection(),)}, "objections", Outcome.NEEDS_APPROVAL),
    ],
)
def test_one_thing_wrong_and_its_rule_says_so(wrong: dict[str, Any], rule: str, outcome: Outcome) -> None:
    assert judged(facts()).allowed
    verdict = judged(facts(**wrong))
    assert not verdict.allowed
    assert blocked_by(verdict).get(rule) is outcome, verdict.text()


@pytest.mark.rows("F99")
@pytest.mark.parametrize(
    "paths",
    [
        ("policies/limits.yaml",),
        (HERE + "team.yaml", "policies/limits.yaml"),
        ("meta_teams/devops/team.yaml",),
        ("mcp_servers/git/merge_desk.py",),
        ("teams/spec.py",),
        ("teams/runtime/server.py",),
        ("teams/__init__.py",),
        ("Teams/marketing_team/team.yaml",),
        (HERE + "team.yaml", "teams/sales_team/team.yaml"),
        (HERE + "team.yaml", "README.md"),
        ("gitops/apps.yaml",),
        (".ci/run",),
    ],
)
def test_an_agent_reaches_nothing_but_one_team_s_folder_whatever_is_approved(paths: tuple[str, ...]) -> None:
    both = amended(changes={"people": ("owner", "second")})
    approved = (approval(), approval("second"))
    touched = team(zone="meta_teams", folder="devops") if paths[0].startswith("meta_teams") else team()
    verdict = judged(facts(files=files(*paths), reviews=approved, team=touched), both)
    assert blocked_by(verdict)["authority"] is Outcome.DENY
    assert verdict.outcome is Outcome.DENY


def test_a_login_in_no_list_is_treated_as_an_agent() -> None:
    verdict = judged(facts(author="stranger", files=files("policies/limits.yaml"), team=None))
    assert blocked_by(verdict)["authority"] is Outcome.DENY


def test_reserved_names_live_in_their_zone_only() -> None:
    executive = spec(name="executive", folder="executive")
    here = facts(team=team(folder="executive", spec_after=executive), files=files("teams/executive/team.yaml"))
    assert blocked_by(judged(here))["spec"] is Outcome.DENY
    there = facts(
        team=team(zone="meta_teams", folder="executive", spec_after=executive, tree_before=BEFORE),
        files=files("meta_teams/executive/team.yaml"),
        **{name: PERSONS[name] for name in ("author", "requester", "branch")},
    )
    assert "spec" not in blocked_by(judged(there))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (facts(), Kind.NEW_TEAM),
        (facts(team=team(tree_before=BEFORE)), Kind.CHANGE_TEAM),
        (facts(team=team(tree_before=BEFORE, tree_after=None)), Kind.RETIRE_TEAM),
        (rollback(), Kind.ROLLBACK_TEAM),
        (rollback(files=files(HERE + "team.yaml", "README.md")), Kind.MIXED),
        (rollback(files=files(HERE + "team.yaml", "teams/other/team.yaml")), Kind.MIXED),
        (facts(team=team(verified_trees=frozenset({AFTER}))), Kind.NEW_TEAM),
        (facts(files=files("policies/a.yaml"), team=None), Kind.LAW),
        (facts(files=files("policies/a.yaml", "README.md"), team=None), Kind.MIXED),
        (facts(files=files("README.md"), team=None), Kind.PLATFORM),
        (facts(files=files("teams/runtime/x.py"), team=team(folder="runtime")), Kind.PLATFORM),
        (facts(files=()), Kind.PLATFORM),
    ],
)
def test_the_kind_is_told_from_what_is_touched(change: Facts, kind: Kind) -> None:
    assert kind_of(change) is kind


def test_bringing_back_a_retired_team_is_a_new_team_and_wants_a_person() -> None:
    back = team(tree_before=None, tree_after=VERIFIED, verified_trees=frozenset({VERIFIED}))
    assert blocked_by(judged(facts(team=back, reviews=()))) == {"approvals": Outcome.NEEDS_APPROVAL}


# ---------------------------------------------------------------- approvals


@pytest.mark.rows("F106")
@pytest.mark.parametrize(
    ("reviews", "why"),
    [
        ((approval(commit=OTHER_HEAD),), "of another commit"),
        ((approval("elf-devops"),), "0 of 1"),
        ((approval("elf-gate"),), "0 of 1"),
        ((approval("stranger"),), "0 of 1"),
        ((approval(), objection(at=NOW + timedelta(seconds=1))), "0 of 1"),
    ],
)
def test_an_approval_that_does_not_count_is_named(reviews: Any, why: str) -> None:
    found = answer(judged(facts(reviews=reviews)), "approvals")
    assert found is not None and found.outcome is Outcome.NEEDS_APPROVAL
    assert why in found.reason


@pytest.mark.rows("L3")
def test_a_verdict_counts_one_as_one() -> None:
    own = facts(**PERSONS, files=files("policies/limits.yaml"), reviews=())
    assert "wants 1 approval of" in judged(own).reason
    found = judged(facts(reviews=()))
    assert "0 of 1 approval of" in found.reason
    one = judged(facts(reviews=(), files=files("teams/marketing_team/team.yaml")))
    assert any(child.reason == "1 plain file" for child in one.children)


@pytest.mark.rows("F106")
def test_the_person_whose_wish_it_was_may_approve_but_not_the_one_who_asked_for_the_pull_request() -> None:
    assert judged(facts(requester="devops/delivery-lead", on_behalf_of="person:owner")).allowed
    refused = answer(judged(facts(requester="person:Owner")), "approvals")
    assert refused is not None and "cannot" not in refused.reason and refused.outcome is Outcome.NEEDS_APPROVAL


@pytest.mark.rows("F106")
def test_a_person_s_own_change_wants_a_second_person_and_law_travels_alone() -> None:
    own = facts(**PERSONS, files=files("policies/limits.yaml"))
    alone = judged(own)
    assert blocked_by(alone) == {"approvals": Outcome.NEEDS_APPROVAL}
    assert "owner may override that" in alone.reason
    without = amended(overrides={"liftable": ()})
    assert "a second person has to be added" in judged(own, without).reason
    two = amended(changes={"people": ("owner", "second")})
    assert not judged(own, two).allowed
    assert judged(own.model_copy(update={"reviews": (approval("second"),)}), two).allowed
    mixed = own.model_copy(
        update={"files": files("policies/limits.yaml", "README.md"), "reviews": (approval("second"),)}
    )
    assert blocked_by(judged(mixed, two)) == {"authority": Outcome.DENY}


def test_an_objection_is_lifted_by_the_same_person_s_later_approval_only() -> None:
    later = NOW + timedelta(minutes=1)
    assert judged(facts(reviews=(objection(), approval(at=later)))).allowed
    two = amended(changes={"people": ("owner", "second")})
    assert blocked_by(judged(facts(reviews=(objection(), approval("second", at=later))), two)) == {
        "objections": Outcome.NEEDS_APPROVAL
    }


def test_a_kind_the_law_does_not_speak_of_is_for_people_to_decide_and_closed_to_agents() -> None:
    kinds = {kind: rule for kind, rule in the_law().changes.kinds.items() if kind not in (Kind.PLATFORM, Kind.NEW_TEAM)}
    silent = amended(changes={"kinds": kinds, "people": ("owner", "second")})
    persons = facts(**PERSONS, files=files("README.md"), reviews=(approval("second"),))
    assert judged(persons, silent).outcome is Outcome.NEEDS_APPROVAL
    assert blocked_by(judged(facts(), silent))["authority"] is Outcome.DENY


# ---------------------------------------------------------------- limits


def slot(number: int, state: Any = "consumed", hours_ago: float = 1) -> Slot:
    return Slot(number=number, state=state, at=NOW - timedelta(hours=hours_ago))


@pytest.mark.rows("F104")
def test_five_new_teams_in_twenty_four_rolling_hours_and_no_sixth() -> None:
    four = tuple(slot(number) for number in range(1, 5))
    assert judged(facts(slots=four)).allowed
    verdict = judged(facts(slots=(*four, slot(5, hours_ago=20))))
    assert verdict.outcome is Outcome.PENDING
    assert verdict.retry_at == NOW + timedelta(hours=4)
    assert judged(facts(slots=(*four, slot(5, hours_ago=24.1)))).allowed
    open_ones = (*four, slot(5, "reserved", hours_ago=2))
    undecided = judged(facts(slots=open_ones))
    assert undecided.outcome is Outcome.PENDING and undecided.retry_at == NOW + timedelta(hours=23)


@pytest.mark.rows("F104")
def test_a_reserved_place_is_kept_against_those_who_came_later() -> None:
    mine, later = slot(7, "reserved", hours_ago=3), tuple(slot(n, "reserved", hours_ago=1) for n in range(8, 14))
    assert judged(facts(slots=(mine, *later))).allowed
    last = judged(facts(number=13, slots=(mine, *later)))
    assert last.outcome is Outcome.PENDING and last.retry_at is None


@pytest.mark.rows("F104")
def test_the_cooldown_waits_and_says_until_when() -> None:
    just_now = Slot(number=1, state="consumed", at=NOW - timedelta(seconds=20))
    verdict = judged(facts(slots=(just_now,)))
    assert verdict.outcome is Outcome.PENDING and verdict.retry_at == NOW + timedelta(seconds=40)
    assert judged(facts(slots=(just_now,)), now=NOW + timedelta(seconds=40)).allowed


@pytest.mark.rows("F104")
def test_a_person_lifts_the_limits_with_a_reason_and_without_one_does_not() -> None:
    full = (*(slot(number) for number in range(1, 6)), Slot(number=6, state="consumed", at=NOW))
    assert not judged(facts(slots=full, reviews=(approval(body="limit lifted: now"),))).allowed
    assert not judged(
        facts(slots=full, reviews=(approval("elf-devops", body="limit lifted: because I say so"),))
    ).allowed
    lifted = judged(facts(slots=full, reviews=(approval(body="Fine.\nLimit lifted: the launch is on Monday"),)))
    assert lifted.allowed and "launch" in lifted.text()


@pytest.mark.rows("F104")
def test_zero_means_none_and_absent_means_no_limit() -> None:
    none = amended(limits={"new_teams": Rate(at_most=0)})
    assert blocked_by(judged(facts(), none)) == {"new_teams": Outcome.DENY}
    unlimited = amended(limits={"new_teams": Rate(), "agents_change": Sizes(), "open_changes_per_requester": None})
    many = tuple(slot(number, hours_ago=0) for number in range(100))
    assert judged(facts(slots=many, open_before=99), unlimited).allowed
    closed = amended(limits={"open_changes_per_requester": 0, "agents_change": Sizes(files=0)})
    assert set(blocked_by(judged(facts(), closed))) == {"open_changes", "sizes"}


def test_the_seed_is_exempt_and_nobody_else_can_be() -> None:
    full = (*(slot(number) for number in range(1, 6)), Slot(number=6, state="consumed", at=NOW))
    assert judged(facts(slots=full, requester="kernel:seed")).allowed
    assert not judged(facts(slots=full, requester="devops/seed")).allowed


@pytest.mark.rows("F95", "F45")
def test_costs_above_the_marks_pass_with_the_words_and_a_reason_only() -> None:
    dear = team(spec_after=spec(daily_budget_usd_micro=50 * MICRO), forecast_usd_micro_month=1500 * MICRO)
    plain = judged(facts(team=dear))
    assert blocked_by(plain) == {"daily_budget": Outcome.NEEDS_APPROVAL, "forecast": Outcome.NEEDS_APPROVAL}
    assert "cost accepted:" in plain.reason
    assert not judged(facts(team=dear, reviews=(approval(body="cost accepted: ok"),))).allowed
    assert judged(facts(team=dear, reviews=(approval(body="cost accepted: replaces the agency"),))).allowed


@pytest.mark.rows("F95")
def test_a_budget_that_does_not_rise_is_not_asked_about_again_but_a_rollback_may_not_raise_it() -> None:
    dear = spec(daily_budget_usd_micro=50 * MICRO)
    assert judged(facts(team=team(tree_before=BEFORE, spec_before=dear, spec_after=dear))).allowed
    back = team(
        tree_before=BEFORE,
        tree_after=VERIFIED,
        verified_trees=frozenset({VERIFIED}),
        spec_before=spec(),
        spec_after=dear,
    )
    assert blocked_by(judged(rollback(team=back))) == {
        "daily_budget": Outcome.NEEDS_APPROVAL,
        "approvals": Outcome.NEEDS_APPROVAL,
    }


@pytest.mark.rows("F39", "F107")
@pytest.mark.parametrize(
    ("had", "has", "asked"),
    [
        ((), (("editor", True, "weather__now"),), True),
        ((("writer", False, "weather__now"),), (("editor", True, "weather__now"),), True),
        ((("editor", True, "weather__now"),), (("editor", True, "weather__now"),), False),
        # The law itself grants it to every manager, whatever team.yaml says.
        ((), (("editor", True, "registry__query_teams"),), False),
    ],
)
def test_a_way_back_brings_no_tool_back_that_somebody_took_away(had: Any, has: Any, asked: bool) -> None:
    """Naming a tool of the catalogue grants it, so nobody's yes would be a grant that nobody gave."""
    trees: dict[str, Any] = {"tree_before": BEFORE, "tree_after": VERIFIED, "verified_trees": frozenset({VERIFIED})}
    back = rollback(team=team(**trees, spec_before=spec(tools=had), spec_after=spec(tools=has)))
    assert blocked_by(judged(back)) == ({"approvals": Outcome.NEEDS_APPROVAL} if asked else {})
    assert judged(back.model_copy(update={"reviews": (approval(),)})).allowed
    assert judged(back, amended(access={"named_in_team": False})).allowed, "then naming grants nothing"


@pytest.mark.rows("F107", "F108")
def test_an_agent_does_not_take_a_healthy_team_back_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the bot's key a team could be sent back and forth between its old states for ever."""
    both = frozenset({VERIFIED, BEFORE})
    back = rollback(team=team(tree_before=BEFORE, tree_after=VERIFIED, verified_trees=both, spec_before=spec()))
    assert blocked_by(judged(back)) == {"approvals": Outcome.NEEDS_APPROVAL}
    assert judged(back.model_copy(update={"reviews": (approval(),)})).allowed
    assert judged(back.model_copy(update={"author": "owner", "requester": "owner"})).allowed, "a person may"
    monkeypatch.setattr(Case, "leaves_health", False)
    assert judged(back).allowed, "the look at where it comes from alone stood in the way"


def test_a_way_back_asks_nobody_once_nobody_looks_at_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Case, "tools_rise", False)
    trees: dict[str, Any] = {"tree_before": BEFORE, "tree_after": VERIFIED, "verified_trees": frozenset({VERIFIED})}
    regained = spec(tools=(("editor", True, "weather__now"),))
    assert judged(rollback(team=team(**trees, spec_before=spec(), spec_after=regained))).allowed


def test_an_agent_s_reach_is_not_a_matter_of_policy() -> None:
    with pytest.raises(ValueError, match="teams"):
        KindLaw.model_validate({"agents_in": ["meta_teams"], "people_in": [], "approvals": 0})


def test_a_rule_that_fails_denies_and_says_so() -> None:
    from policies.evaluate import evaluate

    def broken(_case: object) -> None:
        raise ZeroDivisionError("by design")

    verdict = evaluate(facts(), the_law(), NOW, rules=[("broken", broken)])
    assert verdict.outcome is Outcome.DENY and "ZeroDivisionError: by design" in verdict.reason


def test_no_rule_having_an_opinion_means_that_a_person_decides() -> None:
    from policies.evaluate import evaluate

    assert evaluate(facts(), the_law(), NOW, rules=[("silent", lambda _case: None)]).outcome is Outcome.NEEDS_APPROVAL
    assert evaluate(facts(), the_law(), NOW, rules=[]).outcome is Outcome.NEEDS_APPROVAL


def test_the_verdict_is_of_exactly_what_it_names() -> None:
    text = judged(facts()).text()
    assert HEAD[:12] in text and BASE[:12] in text


ASKED = (("writer", False, "weather__current"),)


@pytest.mark.rows("F39", "F114")
@pytest.mark.parametrize(
    ("named_in_team", "in_catalogue", "allowed"),
    [
        (True, {"weather__current"}, True),
        (True, set[str](), False),
        (True, {"weather__other"}, False),
        (False, {"weather__current"}, False),
    ],
)
def test_a_team_may_name_a_tool_of_the_catalogue_where_the_law_says_that_naming_is_granting(
    named_in_team: bool, in_catalogue: set[str], allowed: bool
) -> None:
    by = amended(access={"named_in_team": named_in_team})
    asking = team(spec_after=spec(tools=ASKED), catalogue_tools=frozenset(in_catalogue))
    assert judged(facts(team=asking), by).allowed is allowed


def server(**changes: Any) -> Facts:
    """A new tool server, proposed by an agent and approved by the owner: allowed."""
    fields: dict[str, Any] = {"folder": "clock", "tree_before": None, "tree_after": AFTER, "name": "clock"}
    fields |= {"kind": "http", "tools": ("now",)}
    return facts(
        team=None, files=files("mcp_servers/catalog/clock/server.yaml"), server=ServerFacts(**(fields | changes))
    )


@pytest.mark.rows("F34")
def test_a_server_reaches_nothing_inside_and_runs_only_listed_programs() -> None:
    assert judged(server()).allowed
    assert blocked_by(judged(server(forbidden_hosts=("10.0.0.1 is private",)))) == {"server_reach": Outcome.DENY}
    program = server(kind="stdio", command=("clock", "--utc"))
    assert blocked_by(judged(program)) == {"server_reach": Outcome.DENY}
    listed = amended(access={"programs": {"clock": ("clock", "--utc")}})
    assert judged(program, listed).allowed
    assert blocked_by(judged(server(kind="stdio", command=("clock",)), listed)) == {"server_reach": Outcome.DENY}
    gone = server(tree_before=BEFORE, tree_after=None, forbidden_hosts=("10.0.0.1 is private",))
    assert judged(gone).allowed, "what is ill may always go away"


@pytest.mark.rows("F98")
def test_what_is_missing_is_there_to_count_and_is_not_there_where_nobody_can_add_it() -> None:
    two = amended(changes={"people": ("owner", "second")})
    own = facts(**PERSONS, files=files("policies/limits.yaml"))
    [lacks] = [it for it in judged(own, two).children if it.rule == "approvals"]
    assert lacks.missing == Missing(approvals=1, may_approve=("second",))
    [nobody] = [it for it in judged(own).children if it.rule == "approvals"]
    assert (nobody.outcome, nobody.missing) == (Outcome.NEEDS_APPROVAL, None)
