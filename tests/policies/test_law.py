"""The policy files: typed, strict, and such that what cannot be meant cannot be written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from policies import law
from policies.facts import MICRO, Kind
from policies.law import BadLaw
from policies.money import dollars, usd_micro
from policies.strict_yaml import load
from tests.policies.cases import policy_files, the_law


@pytest.mark.rows("F104", "F45", "F95")
def test_the_law_of_this_checkout_says_what_the_mission_asks_for() -> None:
    found = the_law()
    assert (found.limits.new_teams.at_most, found.limits.new_teams.in_hours) == (5, 24)
    assert found.limits.new_teams.cooldown_seconds == 60
    assert found.costs.daily_budget_usd == 10 * MICRO
    assert found.costs.forecast_usd_month == 1000 * MICRO
    assert found.changes.kinds[Kind.ROLLBACK_TEAM].approvals == 0
    assert all(rule.approvals == 1 for kind, rule in found.changes.kinds.items() if kind is not Kind.ROLLBACK_TEAM)
    assert set(found.changes.kinds) == set(Kind)
    assert found.budgets.team("any-team") == 10 * MICRO


def test_file_names_may_carry_their_folder_and_other_files_are_not_law() -> None:
    assert (
        law.read({f"policies/{name}": raw for name, raw in policy_files().items()} | {"policies/law.py": b"x"})
        == the_law()
    )


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("limits.yaml", b"at_most: 5", b"at_most: 5\n  at_most: 500", "given twice"),
        ("limits.yaml", b"at_most: 5", b"at_most: -1", "greater than or equal to 0"),
        ("limits.yaml", b"at_most: 5", b"at_most: many", "integer"),
        ("limits.yaml", b"at_most: 5", b"at_mots: 5", "Extra inputs"),
        ("limits.yaml", b"in_hours: 24", b"in_hours: 0", "greater than or equal to 1"),
        ("limits.yaml", b"- kernel:seed", b"- devops/planner", "pattern"),
        ("changes.yaml", b"  - elf-devops", b"  - OWNER", "both a person and an agent"),
        ("changes.yaml", b"people:\n  - owner", b"people: []", "at least 1"),
        ("changes.yaml", b"agents_in: [teams]", b"agents_in: [policies]", "teams"),
        (
            "changes.yaml",
            b"people_in: [policies]\n    approvals: 1",
            b"people_in: [policies]\n    approvals: 0",
            "second person",
        ),
        ("costs.yaml", b"daily_budget_usd: 10", b"daily_budget_usd: -1", "between 0"),
        ("costs.yaml", b"daily_budget_usd: 10", b"daily_budget_usd: ten", "amount in US dollars"),
        ("access.yaml", b"to: devops/delivery-lead", b'to: "*"', "pattern"),
        ("access.yaml", b"- git__propose_team", b'- "*"', "pattern"),
        ("budgets.yaml", b"company_usd_day: 50", b"company_usd_day: &x 50", "anchors"),
    ],
)
def test_a_file_that_says_what_it_cannot_mean_is_refused_by_name(name: str, old: bytes, new: bytes, said: str) -> None:
    files = policy_files()
    assert old in files[name]
    with pytest.raises(BadLaw) as refused:
        law.read(files | {name: files[name].replace(old, new, 1)})
    assert f"policies/{name}" in str(refused.value) and said in str(refused.value)


def test_a_missing_file_and_a_file_nobody_reads_are_errors() -> None:
    files = policy_files()
    with pytest.raises(BadLaw, match=r"limits\.yaml is missing"):
        law.read({name: raw for name, raw in files.items() if name != "limits.yaml"})
    with pytest.raises(BadLaw, match=r"more_limits\.yaml: no such policy file"):
        law.read(files | {"more_limits.yaml": b"at_most: 5"})


@pytest.mark.parametrize("amount", ["0.0000001", True, None, float("nan"), float("inf"), -1, "1e400", [], 10**30])
def test_an_amount_that_is_none_is_refused(amount: object) -> None:
    with pytest.raises(ValueError, match="amount"):
        usd_micro(amount)


def test_money_is_whole_micro_dollars_and_reads_as_dollars() -> None:
    assert [usd_micro(it) for it in (10, 0.25, "12.34", 0)] == [10 * MICRO, 250_000, 12_340_000, 0]
    assert [dollars(it) for it in (0, 10 * MICRO, 12_340_000, 1_500)] == ["$0.00", "$10.00", "$12.34", "$0.0015"]


# ---------------------------------------------------------------- access


@pytest.mark.rows("F39", "F90")
@pytest.mark.parametrize(
    ("team", "member", "tool", "manager", "may"),
    [
        ("devops", "delivery-lead", "git__propose_team", False, True),
        ("devops", "reliability-engineer", "cluster__team_log", False, True),
        ("devops", "reliability-engineer", "git__propose_team", False, False),
        ("devops", "delivery-lead", "cluster__team_log", False, False),
        ("devops", "delivery-lead", "git__merge", False, False),
        ("executive", "ceo", "registry__query_teams", False, True),
        ("executive", "ceo", "git__propose_team", True, False),
        ("marketing-team", "editor", "registry__query_teams", True, True),
        ("marketing-team", "writer", "registry__query_teams", False, False),
        ("marketing-team", "editor", "git__propose_team", True, False),
        ("devops-team", "delivery-lead", "git__propose_team", True, False),
        ("devops", "delivery-lead", "git__propose_team__x", False, False),
        ("*", "*", "git__propose_team", True, False),
    ],
)
def test_only_what_is_granted_may_be_called(team: str, member: str, tool: str, manager: bool, may: bool) -> None:
    assert the_law().access.may(team, member, tool, manager=manager) is may


@pytest.mark.rows("F90")
def test_the_company_s_own_teams_are_granted_exactly_what_their_team_yaml_asks_for() -> None:
    asked = set[tuple[str, str]]()
    for team in ("executive", "devops"):
        spec: Any = load((Path(law.__file__).parents[1] / "meta_teams" / team / "team.yaml").read_bytes())
        for member in spec["members"]:
            for tool in member.get("tools", ()):
                asked.add((f"{team}/{member['name']}", tool))
                assert the_law().access.may(team, member["name"], tool)
    granted = {(it.to, tool) for it in the_law().access.grants if it.to != "*/*" for tool in it.tools}
    assert granted == asked


def test_a_server_s_wildcard_stays_within_the_server() -> None:
    access = law.Access.model_validate({"grants": [{"to": "a/*", "tools": ["git__*"]}]})
    assert access.may("a", "b", "git__anything")
    assert (
        not access.may("a", "b", "github__anything")
        and not access.may("a", "b", "git__")
        and not access.may("b", "b", "git__x")
    )


# ---------------------------------------------------------------- budgets


@pytest.mark.rows("F45")
def test_a_named_budget_goes_before_the_spec_s_and_that_before_the_default() -> None:
    found = law.Budgets.model_validate(
        {"team_usd_day": 10, "member_usd_day": 5, "teams": {"a": {"usd_day": 25, "members": {"b": 0}}, "c": {}}}
    )
    assert (found.team("a", 3 * MICRO), found.team("x", 3 * MICRO), found.team("x"), found.team("c")) == (
        25 * MICRO, 3 * MICRO, 10 * MICRO, 10 * MICRO,
    )  # fmt: skip
    assert (found.member("a", "b"), found.member("a", "x"), law.Budgets().member("a", "b")) == (0, 5 * MICRO, None)
    assert law.Budgets().company_usd_day is None
