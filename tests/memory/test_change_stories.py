"""What became of changes, and the figures over them, follow from facts alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memory import changes, decisions, ledger
from memory.change_stories import Story, pattern_of, stories
from memory.changes import End, Intent, Judged
from memory.figures import Figure, figures
from memory.seen_changes import Seen, saw, seen
from memory.session import Database
from memory.tables import DeploymentRow

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TREE = "a" * 40


def spec(members: int = 3) -> dict[str, Any]:
    names = [{"name": f"m{n}"} for n in range(members)]
    return {"placement": "marketing.blog", "framework": "crewai", "process": "sequential", "members": names}


def intend(database: Database, number: int, kind: str = "new_team", at: datetime = NOW) -> None:
    wanted = Intent(
        key=f"key-{number}",
        kind=kind,
        subject=f"team-{number}",
        requester="devops/delivery-lead",
        on_behalf_of=None,
        gap="",
        rationale="",
        branch=f"auto/{number}",
        payload={"spec": spec()},
        at=at,
        number=number,
    )
    with database.begin() as session:
        changes.record_intent(session, wanted)


def judge(database: Database, number: int, at: datetime, *, objected: bool = False) -> None:
    child = {"rule": "objections", "outcome": "needs_approval" if objected else "allow", "reason": "x"}
    judged = Judged(number, TREE, TREE, TREE, "new_team", "allow", {"children": [child]}, at)
    with database.begin() as session:
        changes.record_verdict(session, judged)


def end(
    database: Database, number: int, how: str, at: datetime, kind: str = "new_team", team: int | None = None
) -> None:
    path = f"teams/team_{team or number}"
    merged = how == "merged"
    with database.begin() as session:
        changes.record_end(
            session, End(number, how, kind, TREE, TREE if merged else None, path, TREE if merged else None, at)
        )


def healthy(database: Database, number: int, at: datetime) -> None:
    with database.begin() as session:
        session.add(
            DeploymentRow(
                id=f"d-{number}",
                team=f"team-{number}",
                tree=TREE,
                commit=TREE,
                started_at=at,
                healthy_at=at,
                inbound_token="",
            )
        )


def told(database: Database) -> list[Story]:
    with database.read() as session:
        return stories(session)


@pytest.mark.rows("F103", "F113")
def test_each_story_says_what_came_of_the_change_and_why(sqlite: Database) -> None:
    for number in range(1, 5):
        intend(sqlite, number)
        judge(sqlite, number, NOW + timedelta(minutes=1), objected=number == 2)
    end(sqlite, 1, "merged", NOW + timedelta(hours=1))
    healthy(sqlite, 1, NOW + timedelta(hours=2))
    end(sqlite, 2, "closed", NOW + timedelta(hours=1))
    with sqlite.begin() as session:
        detail = {"why": "we have an agency"}
        ledger.append(session, ledger.Entry("person:owner", "change.reject", "change:2", "rejected", NOW, detail))
    end(sqlite, 3, "merged", NOW + timedelta(hours=1))
    healthy(sqlite, 3, NOW + timedelta(hours=2))
    intend(sqlite, 5, "rollback_team", NOW + timedelta(hours=2))
    end(sqlite, 5, "merged", NOW + timedelta(hours=3), "rollback_team", team=3)
    found = {story.number: story for story in told(sqlite)}
    assert {number: story.outcome for number, story in found.items() if number < 5} == {
        1: "held",
        2: "rejected",
        3: "rolled back",
        4: "open",
    }
    assert found[2].why == "we have an agency" and found[2].changes_asked and not found[1].changes_asked
    assert found[1].pattern == "marketing team, crewai, sequential, 3 members"


@pytest.mark.rows("F112")
def test_changes_that_nobody_asked_the_proposer_for_are_told_too(sqlite: Database) -> None:
    facts = {"team": {"zone": "teams", "folder": "marketing_team"}}
    for number, kind in enumerate(("change_team", "new_server", "law", "platform", "retire_team"), start=1):
        with sqlite.begin() as session:
            sha = decisions.keep_facts(session, number, facts | {"number": number})
            child = {"rule": "objections", "outcome": "allow", "reason": "x"}
            at = NOW + timedelta(minutes=number)
            judged = Judged(number, TREE, TREE, TREE, kind, "allow", {"children": [child]}, at, sha)
            changes.record_verdict(session, judged)
            if number == 1:
                saw(session, Seen(number, "elf-devops", "elf-devops", NOW, TREE, touched=True))
    end(sqlite, 1, "merged", NOW + timedelta(hours=1), "change_team")
    healthy(sqlite, 1, NOW + timedelta(hours=2))
    found = told(sqlite)
    assert [(it.number, it.kind, it.outcome, it.changes_asked) for it in found] == [
        (1, "change_team", "held", True),
        (2, "new_server", "open", False),
        (5, "retire_team", "open", False),
    ]
    assert (found[0].subject, found[0].intended_at) == ("marketing-team", NOW)
    with sqlite.read() as session:
        assert [it.number for it in stories(session, since=NOW + timedelta(minutes=3))] == [5]
        assert [it.number for it in stories(session, kind="new_server", most=5)] == [2]


def test_what_was_touched_once_stays_so_and_the_same_again_writes_nothing(sqlite: Database) -> None:
    first = Seen(7, "elf-devops", "elf-devops", NOW, TREE, touched=True)
    with sqlite.begin() as session:
        saw(session, first)
        saw(session, replace(first, head="b" * 40, touched=False))
        assert seen(session, 7) == replace(first, head="b" * 40)


def test_a_pattern_groups_what_is_alike() -> None:
    assert pattern_of("new_server", {"spec": {"kind": "internal"}}) == "internal tool server"
    assert pattern_of("rollback_team", {"tree": TREE}) == "rollback team"


def story(**changed: Any) -> Story:
    fields: dict[str, Any] = {
        "number": 1,
        "kind": "new_team",
        "subject": "t",
        "pattern": "p",
        "outcome": "held",
        "why": None,
        "changes_asked": False,
        "intended_at": NOW,
        "judged_at": NOW + timedelta(minutes=2),
        "ended_at": NOW + timedelta(minutes=10),
        "healthy_at": NOW + timedelta(minutes=11),
    }
    return Story(**(fields | changed))


def by_name(*told: Story, healed: tuple[tuple[datetime, datetime], ...] = ()) -> dict[str, Figure]:
    return {one.name: one for one in figures(told, healed)}


@pytest.mark.rows("F112")
def test_every_figure_is_counted_over_what_it_is_about() -> None:
    rejected = story(outcome="rejected", healthy_at=None, changes_asked=True)
    undone = story(outcome="rolled back")
    back = story(kind="rollback_team")
    found = by_name(story(), rejected, undone, back, healed=((NOW, NOW + timedelta(seconds=30)),))
    values = {name: (one.value, one.of, one.met) for name, one in found.items()}
    assert values == {
        "gap to pull request": (120.0, 3, True),
        "review": (480.0, 2, None),
        "changes asked for": (pytest.approx(100 / 3), 3, False),
        "rejected": (pytest.approx(100 / 3), 3, None),
        "false gaps": (pytest.approx(100 / 3), 3, False),
        "deployment": (60.0, 2, True),
        "deployments that held": (50.0, 2, False),
        "time to heal": (30.0, 1, None),
    }


@pytest.mark.rows("F112")
def test_without_anything_to_count_a_figure_is_neither_met_nor_missed() -> None:
    assert all(one.value is None and one.met is None for one in figures([], []))


@pytest.mark.rows("F112")
def test_a_clock_that_was_turned_back_gives_no_negative_time() -> None:
    assert by_name(story(judged_at=NOW - timedelta(hours=1)))["gap to pull request"].value == 0
