"""Who reports to whom follows from placements alone, and is written one file a relation."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_servers.cluster.telling import tell_reports, told_dir
from mcp_servers.factories.chart import render_chart
from memory.registry import Registered
from teams.chart import relations
from teams.runtime.told import REPORTS_FILE, read_reports
from teams.spec import TeamSpec

pytestmark = pytest.mark.rows("F05", "F16")


def team(name: str, placement: str) -> TeamSpec:
    member = {"role": "Maker", "goal": "Make.", "backstory": "Made before."}
    return TeamSpec.model_validate(
        {
            "name": name,
            "purpose": f"Does what {name} does",
            "description": "Works.",
            "placement": placement,
            "framework": "crewai",
            "members": [{"name": it, "manager": it == "lead", **member} for it in ("lead", "maker", "checker")],
            "work": [{"name": "make", "member": "maker", "description": "Make.", "expected_output": "It."}],
        }
    )


EXECUTIVE, MARKETING = team("executive", "executive"), team("marketing-team", "marketing")
SOCIAL, DEEP = team("social-team", "marketing.social"), team("deep-team", "marketing.video.shorts")


def names(*teams: TeamSpec) -> list[tuple[str, str]]:
    return [(parent.name, child.name) for parent, child in relations(teams)]


def test_a_team_reports_to_the_one_placed_nearest_above_it_and_else_to_the_executives() -> None:
    assert names(EXECUTIVE, MARKETING, SOCIAL, DEEP) == [
        ("executive", "marketing-team"),
        ("marketing-team", "deep-team"),
        ("marketing-team", "social-team"),
    ]
    assert names(EXECUTIVE, SOCIAL) == [("executive", "social-team")]
    assert names(SOCIAL) == []


def test_a_relation_is_a_file_of_its_own_and_says_whom_to_write_to() -> None:
    files = render_chart([EXECUTIVE, MARKETING, SOCIAL])
    assert list(files) == ["reports/executive/marketing_team.yaml", "reports/marketing_team/social_team.yaml"]
    assert b"team: social-team\nlead: cmo\nmanager: lead\n" in files["reports/marketing_team/social_team.yaml"]


@pytest.mark.rows("F05")
@pytest.mark.parametrize("other", ["ads-team", "zeal-team"])
def test_teams_that_share_a_placement_are_siblings_and_neither_takes_over_what_lies_below(other: str) -> None:
    second = team(other, "marketing")
    assert names(EXECUTIVE, MARKETING, second, SOCIAL) == sorted(
        ("executive", name) for name in ("marketing-team", other, "social-team")
    )
    lower = team("video-team", "marketing.video")
    assert ("video-team", "deep-team") in names(EXECUTIVE, MARKETING, second, lower, DEEP)


def test_siblings_below_a_team_of_their_own_both_report_to_it() -> None:
    twin = team("twin-team", "marketing.social")
    assert names(EXECUTIVE, MARKETING, SOCIAL, twin)[1:] == [
        ("marketing-team", "social-team"),
        ("marketing-team", "twin-team"),
    ]


@given(st.permutations([EXECUTIVE, MARKETING, SOCIAL, DEEP]))
def test_the_order_in_which_teams_are_listed_makes_no_difference(teams: list[TeamSpec]) -> None:
    assert render_chart(teams) == render_chart([EXECUTIVE, MARKETING, SOCIAL, DEEP])


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(["m", "m.a", "m.a.b", "f", "f.c"])),
        unique_by=lambda it: it[0],
    )
)
def test_every_team_has_one_parent_at_most_and_none_is_its_own(chosen: list[tuple[str, str]]) -> None:
    teams = [EXECUTIVE, *(team(f"{letter}-team", placement) for letter, placement in chosen)]
    pairs = names(*teams)
    children = [child for _, child in pairs]
    assert sorted(children) == sorted(f"{letter}-team" for letter, _ in chosen)
    assert all(parent != child for parent, child in pairs)


def registered(*specs: TeamSpec) -> list[Registered]:
    return [Registered(spec, "teams", "0" * 40, "1" * 40) for spec in specs]


def test_a_running_team_reads_what_reports_to_it_after_each_merge(tmp_path: Path) -> None:
    assert read_reports(told_dir(tmp_path, "executive")) == ()
    assert tell_reports(tmp_path, registered(EXECUTIVE, MARKETING)) == ["executive", "marketing-team"]
    assert [one.team for one in read_reports(told_dir(tmp_path, "executive"))] == ["marketing-team"]
    assert tell_reports(tmp_path, registered(EXECUTIVE, MARKETING)) == []
    assert tell_reports(tmp_path, registered(EXECUTIVE)) == ["executive"]
    assert read_reports(told_dir(tmp_path, "executive")) == ()


def test_what_cannot_be_read_is_nothing_told_and_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / REPORTS_FILE).write_text("{half")
    assert read_reports(tmp_path) == ()
    assert "cannot be read" in caplog.text
