"""Who could do it already."""

from __future__ import annotations

from itertools import combinations

import pytest

from meta_teams.delivery.coverage import COVERED_FROM, EXTENDABLE_FROM, META_TEAMS, coverage
from meta_teams.delivery.seen import TeamRow
from meta_teams.delivery.team_names import unique

NEEDED = ("blog-writing", "social-media", "seo", "copywriting")


@pytest.mark.rows("F93", "F94")
def test_every_subset_of_the_skills_is_covered_extendable_or_a_gap_by_its_share() -> None:
    for size in range(len(NEEDED) + 1):
        for has in combinations(NEEDED, size):
            found = coverage(NEEDED, "marketing", [TeamRow(name="press", department="marketing", skills=has)])
            share = size / len(NEEDED)
            assert (found.team == "press") is (share >= COVERED_FROM)
            assert (found.extendable == "press") is (EXTENDABLE_FROM <= share < COVERED_FROM)
            assert set(found.missing) == set(NEEDED) - set(has)


def test_the_order_of_teams_and_skills_changes_nothing() -> None:
    teams = [TeamRow(name=name, department="marketing", skills=("seo", "social-media")) for name in ("b", "a", "c")]
    found = {coverage(NEEDED, "marketing", order).extendable for order in (teams, teams[::-1], teams[1:] + teams[:1])}
    assert found == {"a"}


def test_among_equals_the_team_of_the_same_department_is_nearest() -> None:
    teams = [
        TeamRow(name="a", department="sales", skills=("seo",)),
        TeamRow(name="b", department="marketing", skills=("seo",)),
    ]
    assert coverage(NEEDED, "marketing", teams).extendable == "b"


@pytest.mark.parametrize("name", sorted(META_TEAMS))
def test_those_who_lead_and_build_cover_nothing(name: str) -> None:
    assert coverage(("seo",), "x", [TeamRow(name=name, skills=("seo",))]).team is None


@pytest.mark.parametrize(
    ("needed", "has", "covered"),
    [
        ("blog-writing", "writing-blogs", True),
        ("translation", "legal-translation", True),
        ("legal-translation", "translation", False),
        ("testing", "tests", True),
        ("law", "lawn-mowing", False),
    ],
)
def test_a_skill_is_met_by_one_that_has_all_its_words(needed: str, has: str, covered: bool) -> None:
    assert (coverage((needed,), "x", [TeamRow(name="t", skills=(has,))]).team == "t") is covered


def test_nothing_needed_or_nobody_there_is_no_coverage() -> None:
    assert coverage((), "x", [TeamRow(name="t", skills=("seo",))]).team is None
    assert coverage(("seo",), "x", []).missing == ("seo",)


@pytest.mark.rows("F08")
def test_a_taken_name_gets_the_first_free_number_within_forty_characters() -> None:
    assert unique("a", {"b"}) == "a"
    assert unique("a", {"a", "a-2", "a-4"}) == "a-3"
    long = "x" * 40
    assert unique(long, {long}) == "x" * 38 + "-2"
