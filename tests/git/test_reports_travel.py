"""What a parent learns of a team travels in the team's own change, is judged there, and is applied by its merge (F16, F86)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_servers.factories.chart import render_chart
from mcp_servers.factories.spec_files import load_spec
from mcp_servers.git import facts as reading
from mcp_servers.git.merge_desk import Merged
from policies.facts import ReportsFacts
from policies.verdict import Outcome
from tests.git.desk_world import OWNER, World, seeded, team_files

pytestmark = pytest.mark.rows("F16")
OF_EXECUTIVE, OF_MARKETING = "reports/executive", "reports/marketing_team"


def chart(*folders: dict[str, bytes]) -> dict[str, bytes]:
    """What follows from these team folders."""
    return render_chart(
        load_spec(data) for files in folders for path, data in files.items() if path.endswith("team.yaml")
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    executive = team_files("executive", "meta_teams", placement="executive")
    old = team_files("old-team", placement="marketing.archive")
    seeded(root, executive | old | chart(executive, old))
    return root


def reports(world: World) -> list[str]:
    return [entry.path for entry in world.repository.listing("main", "reports")]


def merged(world: World, name: str = "marketing-team", **changes: Any) -> None:
    change = world.propose(name, **changes)
    done = world.desk.approve(change.number, OWNER, change.head)
    assert isinstance(done, Merged), done


def why_not(world: World, number: int) -> dict[str, str]:
    """Rule to reason, of what denies the change."""
    children = world.desk.judge(number).children
    return {child.rule: child.reason for child in children if child.outcome is Outcome.DENY}


def test_the_change_for_a_new_team_writes_what_its_parent_learns_and_the_merge_applies_it(world: World) -> None:
    merged(world)
    assert reports(world) == [f"{OF_EXECUTIVE}/marketing_team.yaml", f"{OF_EXECUTIVE}/old_team.yaml"]
    told = world.repository.read("main", f"{OF_EXECUTIVE}/marketing_team.yaml").decode()
    assert "manager: editor" in told and "purpose: Write about the company" in told


def test_a_team_that_comes_between_two_others_takes_over_the_lower_one_in_the_same_change(world: World) -> None:
    merged(world, placement="marketing")
    assert reports(world) == [f"{OF_EXECUTIVE}/marketing_team.yaml", f"{OF_MARKETING}/old_team.yaml"]


def test_two_new_teams_of_one_parent_do_not_conflict(world: World) -> None:
    first, second = world.propose("marketing-team"), world.propose("sales-team")
    for change in (first, second):
        world.clock.tick(hours=1)  # past the cooldown of policies/limits.yaml
        assert isinstance(world.desk.approve(change.number, OWNER, change.head), Merged)
    assert len(reports(world)) == 3


def test_a_change_whose_parent_would_learn_nothing_is_denied(world: World) -> None:
    world.commit_to("auto/by-hand", dict(team_files()))
    number = opened(world, "auto/by-hand")
    assert f"missing: '{OF_EXECUTIVE}/marketing_team.yaml'" in why_not(world, number)["reports"]


@pytest.mark.parametrize(
    ("path", "data", "what"),
    [
        (f"{OF_EXECUTIVE}/marketing_team.yaml", b"manager: intruder\n", "not as their teams are"),
        (f"{OF_EXECUTIVE}/old_team.yaml", None, "missing"),
        (f"{OF_EXECUTIVE}/nobody.yaml", b"team: nobody\n", "of no team"),
    ],
)
def test_what_a_parent_learns_cannot_be_made_up(world: World, path: str, data: bytes | None, what: str) -> None:
    head = tampered(world, path, data)
    assert f"{what}: '{path}'" in why_not(world, head)["reports"]


def test_without_the_comparison_a_made_up_manager_would_stand_in_the_parents_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = tampered(world, f"{OF_EXECUTIVE}/marketing_team.yaml", b"manager: intruder\n")

    def sees_nothing(*_: object) -> ReportsFacts:
        return ReportsFacts()

    monkeypatch.setattr(reading, "reports_facts", sees_nothing)
    done = world.desk.approve(number, OWNER, world.head(number))
    assert isinstance(done, Merged)
    assert b"intruder" in world.repository.read("main", f"{OF_EXECUTIVE}/marketing_team.yaml")


def test_an_agent_cannot_write_reports_alone(world: World) -> None:
    world.commit_to("auto/by-hand", {f"{OF_EXECUTIVE}/old_team.yaml": b"manager: intruder\n"})
    assert {"authority", "reports"} <= why_not(world, opened(world, "auto/by-hand")).keys()


def test_a_change_that_another_made_outdated_says_so(world: World) -> None:
    lower = world.propose("social-team", placement="marketing.social")
    merged(world, placement="marketing")
    assert "propose it again" in why_not(world, lower.number)["reports"]


def opened(world: World, branch: str) -> int:
    """A pull request on a branch that the bot pushed by hand."""
    answer = httpx.post(
        f"{world.url}/api/v3/repos/elf/company/pulls",
        headers={"Authorization": "Bearer token-of-elf-devops"},
        json={"title": "By hand", "head": branch, "base": "main"},
    )
    assert answer.status_code == 201, answer.text
    return int(answer.json()["number"])


def tampered(world: World, path: str, data: bytes | None) -> int:
    """A proposal for a new team, with one file of `reports/` made otherwise."""
    change = world.propose()
    world.commit_to(change.branch, {path: data})
    return change.number
