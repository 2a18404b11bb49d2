"""A change that becomes another one on the same branch takes the place of what it became; and open changes count, however opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mcp_servers.git import judging
from mcp_servers.git.changes import Change, Proposal
from mcp_servers.git.merge_desk import Merged
from mcp_servers.git.objects import Signature
from memory import seen_changes
from memory import slots as places
from memory.change_tables import SlotRow
from policies.verdict import Outcome, Verdict
from tests.git.desk_world import OWNER, WHO, World, seeded, team_files

LIMITS = "policies/limits.yaml"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    seeded(root, team_files("old-team"))
    return root


def limited(world: World, **changed: tuple[bytes, bytes]) -> None:
    text = world.repository.read("main", LIMITS)
    for old, new in changed.values():
        assert old in text
        text = text.replace(old, new, 1)
    world.commit_to("main", {LIMITS: text})


def two_and_changes_counted(world: World) -> None:
    further = b"rates:\n  team_changes:\n    kinds: [change_team]\n    at_most: 20\nstale:\n"
    limited(
        world,
        most=(b"at_most: 5", b"at_most: 2"),
        soon=(b"cooldown_seconds: 60", b"cooldown_seconds: 0"),
        more=(b"stale:\n", further),
    )


def as_change_then_as_new_team(world: World, number: int) -> Change:
    """Opened as a change to the old team, judged, and then pushed over with a new one."""
    branch = f"auto/change/{number}"
    old = team_files("old-team", purpose=f"Write about thing {number}")
    opened = world.changes("elf-devops").propose(Proposal(branch, "Change", "", (), old, "Change\n"))
    world.desk.judge(opened.number)
    ref, made = f"refs/heads/{branch}", team_files(f"team-{'abcdef'[number]}")
    tree = world.repository.write_tree("main", made)
    commit = world.repository.commit_tree(tree, [world.main()], "New\n", WHO, world.clock.at)
    world.repository.update_ref(ref, commit, opened.head)
    return world.gate.get(opened.number)


def slots(world: World) -> list[tuple[int | None, str, str]]:
    with world.database.read() as session:
        rows = session.scalars(select(SlotRow).order_by(SlotRow.number))
        return [(it.number, it.scope, it.state) for it in rows if it.state != "released"]


def three_new_teams(world: World) -> int:
    two_and_changes_counted(world)
    merged = 0
    for number in range(3):
        change = as_change_then_as_new_team(world, number)
        done = world.desk.approve(change.number, OWNER, change.head)
        merged += isinstance(done, Merged)
    return merged


@pytest.mark.rows("F104")
def test_new_teams_pushed_over_changes_of_teams_count_as_new_teams(world: World) -> None:
    assert three_new_teams(world) == 2
    assert slots(world) == [(1, "new_team", "consumed"), (2, "new_team", "consumed")]


@pytest.mark.rows("F104")
def test_a_place_that_is_only_looked_at_by_number_lets_a_third_team_through(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted hole: whoever holds any place wants no other, and it is consumed as what it was."""

    def any_place(facts: Any, limits: Any) -> bool:
        return not any(slot.number == facts.number for slot in facts.slots)

    whole = places.consume

    def as_it_was(session: Any, number: int, kind: str, requester: str | None, now: Any) -> None:
        row = session.scalars(select(SlotRow).where(SlotRow.number == number, SlotRow.state == "reserved")).first()
        whole(session, number, row.scope if row else kind, requester, now)

    monkeypatch.setattr(judging, "_holds_wrong_slot", any_place)
    monkeypatch.setattr(places, "consume", as_it_was)
    assert three_new_teams(world) == 3


@pytest.mark.rows("F104")
def test_a_place_taken_as_a_new_team_is_free_once_the_change_is_none_any_more(world: World) -> None:
    change = world.propose("marketing-team")
    assert slots(world) == [(change.number, "new_team", "reserved")]
    world.commit_to(change.branch, {"README.md": b"# Mine\n"})
    world.desk.judge(change.number)
    assert slots(world) == []
    again = world.commit_to(change.branch, {"README.md": b"# A company\n"})
    world.desk.judge(change.number)
    assert world.head(change.number) == again and slots(world) == [(change.number, "new_team", "reserved")]


@pytest.mark.rows("F104")
def test_a_merge_without_an_intent_counts_for_its_author(world: World) -> None:
    by_hand = Proposal("auto/new-team/y", "New team", "", (), team_files("by-hand"), "x\n")
    change = world.changes("elf-devops").propose(by_hand)
    world.desk.judge(change.number)
    with world.database.begin() as session:
        for row in session.scalars(select(SlotRow)):
            session.delete(row)
    world.changes("owner").approve(change.number, change.head)
    world.gate.merge(change.number, change.head, "Merged elsewhere\n")
    world.desk.tick()
    with world.database.read() as session:
        [row] = session.scalars(select(SlotRow))
    assert (row.requester, row.state) == ("elf-devops", "consumed")


def _open(world: World, who: str, number: int) -> Verdict:
    files: dict[str, bytes | None] = (
        {f"docs/{number}.md": b"# A page\n"} if who == "owner" else {**team_files(f"team-{'abcdef'[number]}")}
    )
    made = world.changes(who).propose(Proposal(f"auto/open/{who}-{number}", "Open", "", (), files, "Open\n"))
    return world.desk.judge(made.number)


@pytest.mark.rows("F104")
@pytest.mark.parametrize("who", ["elf-devops", "owner"])
def test_open_changes_count_for_whoever_pushed_them_by_hand_too(world: World, who: str) -> None:
    limited(world, few=(b"open_changes_per_requester: 10", b"open_changes_per_requester: 2"))
    found = [_open(world, who, number) for number in range(4)]
    said = [next(it for it in verdict.children if it.rule == "open_changes") for verdict in found]
    assert [it.outcome for it in said] == [Outcome.ALLOW, Outcome.ALLOW, Outcome.PENDING, Outcome.PENDING]
    assert f"'{who}' has 3 older open changes and may have 2" in said[3].reason
    world.desk.reject(1, OWNER, "not wanted")
    with world.database.read() as session:
        assert seen_changes.older_open(session, who, None) == 3
        assert seen_changes.older_open(session, f"person:{who}", 4) == 2


@pytest.mark.rows("F112")
def test_a_persons_commit_on_an_agents_branch_is_remembered_and_an_agents_own_is_not(world: World) -> None:
    change = world.propose("marketing-team", key="k")
    other = world.propose("sales-team", key="l")
    world.commit_to(other.branch, {"README.md": b"# Mine\n"})
    tree, by = (
        world.repository.write_tree(change.head, {"README.md": b"# Yours\n"}),
        Signature("owner", "owner@elf.local"),
    )
    theirs = world.repository.commit_tree(tree, [change.head], "Mend\n", by, world.clock.at)
    world.repository.update_ref(f"refs/heads/{change.branch}", theirs, change.head)
    for number in (change.number, other.number):
        assert not isinstance(world.desk.merge_if_allowed(number), Merged)
    with world.database.read() as session:
        seen = [seen_changes.seen(session, number) for number in (change.number, other.number)]
    assert [it.touched for it in seen if it] == [True, False]
