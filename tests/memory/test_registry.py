"""The registry is main's directory, projected; both ends of a relation always agree."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from memory import registry
from memory.registry import Registered
from memory.session import Database
from teams.chart import relations
from teams.spec import TeamSpec

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def team(name: str, placement: str, **more: Any) -> Registered:
    members = [
        {
            "name": role,
            "role": role,
            "goal": "g",
            "backstory": "b",
            "manager": role == "lead",
            "skills": [f"{role}-skill"],
        }
        for role in ("lead", "writer", "editor")
    ]
    work = [{"name": "write", "member": "writer", "description": "d", "expected_output": "o"}]
    spec = {
        "name": name,
        "purpose": f"What {name} is for",
        "description": "d",
        "placement": placement,
        "framework": "crewai",
    }
    return Registered(
        TeamSpec.model_validate({**spec, "members": members, "work": work, **more}), "teams", "t" * 40, "c" * 40
    )


EXECUTIVE = team("executive", "executive")
MARKETING = team("marketing-team", "marketing")
SOCIAL = team("social-team", "marketing.socialmedia")


def project(database: Database, *teams: Registered) -> registry.Projection:
    with database.begin() as session:
        return registry.project(session, teams, NOW)


@pytest.mark.rows("F17", "F27", "F33")
def test_projecting_the_same_directory_twice_changes_nothing(database: Database) -> None:
    assert project(database, EXECUTIVE, MARKETING).added == ("executive", "marketing-team")
    assert project(database, EXECUTIVE, MARKETING) == registry.Projection((), (), ())


@pytest.mark.rows("F28", "F29")
def test_the_hierarchy_holds_its_root_and_every_team_once(database: Database) -> None:
    project(database, EXECUTIVE, MARKETING, SOCIAL)
    with database.read() as session:
        tree = registry.hierarchy(session)
    assert [node["team"] for node in tree] == ["executive"]
    marketing = tree[0]["children"]
    assert [(node["team"], node["lead"]) for node in marketing] == [("marketing-team", "cmo")]
    assert [node["team"] for node in marketing[0]["children"]] == ["social-team"]


@pytest.mark.rows("F29")
def test_a_team_whose_parent_retires_answers_to_the_executive_team(database: Database) -> None:
    project(database, EXECUTIVE, MARKETING, SOCIAL)
    assert project(database, EXECUTIVE, SOCIAL).retired == ("marketing-team",)
    with database.read() as session:
        assert [node["team"] for node in registry.hierarchy(session)[0]["children"]] == ["social-team"]
        assert registry.team(session, "marketing-team") is None


@pytest.mark.rows("F17")
def test_a_retired_team_that_returns_is_registered_again(database: Database) -> None:
    project(database, EXECUTIVE, MARKETING)
    project(database, EXECUTIVE)
    assert project(database, EXECUTIVE, MARKETING).added == ("marketing-team",)


@pytest.mark.rows("F31")
def test_teams_are_found_by_exact_skill_department_or_any_word(database: Database) -> None:
    project(database, EXECUTIVE, MARKETING)
    with database.read() as session:
        found = [
            registry.query(session, skill="writer-skill", department="marketing"),
            registry.query(session, text="nothing marketing-team"),
            registry.query(session, skill="piloting"),
        ]
    assert [[one["name"] for one in rows] for rows in found] == [["marketing-team"], ["marketing-team"], []]


@pytest.mark.rows("F28", "F09")
def test_a_composition_tells_size_and_manager_first(database: Database) -> None:
    project(database, EXECUTIVE)
    with database.read() as session:
        found = registry.composition(session, "executive")
    assert found is not None
    assert (found["size"], found["members"][0]["name"]) == (3, "lead")


@pytest.mark.rows("F05", "F28", "F29")
def test_every_view_agrees_on_teams_that_share_a_placement(database: Database) -> None:
    twin, below = team("twin-team", "marketing"), team("video-team", "marketing.socialmedia.video")
    project(database, EXECUTIVE, MARKETING, twin, SOCIAL, below)
    with database.read() as session:
        [root] = registry.hierarchy(session)
        placed = {one["name"]: one["placement"] for one in registry.query(session, department="marketing")}
    in_tree = {child["team"]: [it["team"] for it in child["children"]] for child in root["children"]}
    assert in_tree == {"marketing-team": [], "social-team": ["video-team"], "twin-team": []}
    written = {
        (parent.name, child.name)
        for parent, child in relations(it.spec for it in (EXECUTIVE, MARKETING, twin, SOCIAL, below))
    }
    assert written == {("executive", name) for name in in_tree} | {("social-team", "video-team")}
    assert sorted(placed) == sorted([*in_tree, "video-team"])
    assert placed["marketing-team"] == placed["twin-team"] == "marketing"
