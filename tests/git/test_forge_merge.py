"""Merging moves main by compare-and-swap: exactly the judged commit, whoever else is pushing or merging."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from mcp_servers.git.changes import Change, Changes, ChangesError, HeadMoved, NotAllowed, NotMergeable, Proposal
from mcp_servers.git.forge import pulls
from mcp_servers.git.forge.site import Visit
from mcp_servers.git.objects import ANY, RefUpdate, Signature
from tests.git.conftest import START, Forge

Propose = Callable[..., Proposal]


@pytest.fixture
def gate(forge: Forge) -> Changes:
    return forge.changes("elf-gate")


def sneak(forge: Forge, change: Change, branch: str | None = None) -> str:
    """A commit that appears on the change's branch (or on `branch`) behind the gate's back."""
    target = branch or change.branch
    tip = forge.repository.resolve(target)
    tree = forge.repository.write_tree(tip, {"policies/limits.yaml": b"new_teams_a_day: 5000\n"})
    commit = forge.repository.commit_tree(tree, [tip], "sneaked\n", Signature("elf-devops", "x@elf.local"), START)
    forge.repository.update_refs([RefUpdate(f"refs/heads/{target}", commit, tip)], login="elf-devops")
    return commit


def test_a_merge_has_both_parents_the_message_and_the_gates_name(
    forge: Forge, gate: Changes, proposal: Propose
) -> None:
    base = forge.repository.resolve("main")
    change = forge.changes("elf-devops").propose(proposal())
    merged = gate.merge(change.number, change.head, "Merge the marketing team\n\nVerdict: allowed")
    (commit,) = forge.repository.log("main", limit=1)
    assert (commit.sha, commit.parents, commit.author.name) == (merged, (base, change.head), "elf-gate")
    assert commit.message.strip() == "Merge the marketing team\n\nVerdict: allowed"
    after = gate.get(change.number)
    assert (after.state, after.head, after.merge_commit, after.merged_at) == ("merged", change.head, merged, START)


def test_merging_again_gives_the_same_commit(forge: Forge, gate: Changes, proposal: Propose) -> None:
    change = forge.changes("elf-devops").propose(proposal())
    first = gate.merge(change.number, change.head, "Merge")
    assert gate.merge(change.number, change.head, "Merge") == first == forge.repository.resolve("main")
    with pytest.raises(HeadMoved):
        gate.merge(change.number, "1" * 40, "Merge")


@pytest.mark.rows("F106")
def test_a_head_that_nobody_judged_is_not_merged(forge: Forge, gate: Changes, proposal: Propose) -> None:
    change = forge.changes("elf-devops").propose(proposal())
    before = forge.repository.resolve("main")
    moved = sneak(forge, change)
    with pytest.raises(HeadMoved, match="evaluate it again"):
        gate.merge(change.number, change.head, "Merge")
    assert forge.repository.resolve("main") == before
    raw = forge.api("elf-gate", "PUT", f"pulls/{change.number}/merge", {"sha": change.head})
    assert raw.status_code == 409
    assert gate.merge(change.number, moved, "Merge") == forge.repository.resolve("main")


def test_a_push_between_the_check_and_the_merge_stops_the_merge(
    forge: Forge, gate: Changes, proposal: Propose, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = forge.changes("elf-devops").propose(proposal())
    before = forge.repository.resolve("main")

    def push_just_now(visit: Visit, number: int) -> None:
        sneak(forge, change)

    monkeypatch.setattr(pulls, "_note_merge", push_just_now)
    with pytest.raises(HeadMoved):
        gate.merge(change.number, change.head, "Merge")
    assert forge.repository.resolve("main") == before
    assert gate.get(change.number).state == "open"


def test_planted_hole_without_verifying_the_head_that_push_slips_by(
    forge: Forge, gate: Changes, proposal: Propose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the head's part in the transaction the merge goes through although the branch has moved."""
    change = forge.changes("elf-devops").propose(proposal())
    honest = pulls._merge_updates  # pyright: ignore[reportPrivateUsage] - the hole is planted right there

    def push_just_now(visit: Visit, number: int) -> None:
        sneak(forge, change)

    monkeypatch.setattr(pulls, "_note_merge", push_just_now)
    monkeypatch.setattr(pulls, "_merge_updates", lambda pull, commit: honest(pull, commit)[1:])  # pyright: ignore[reportUnknownLambdaType]
    assert gate.merge(change.number, change.head, "Merge") == forge.repository.resolve("main")


def test_a_base_that_moves_between_the_check_and_the_merge_stops_the_merge(
    forge: Forge, gate: Changes, proposal: Propose, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = forge.changes("elf-devops").propose(proposal())
    moved: list[str] = []

    def main_moves(visit: Visit, number: int) -> None:
        moved.append(sneak(forge, change, "main"))

    monkeypatch.setattr(pulls, "_note_merge", main_moves)
    with pytest.raises(NotMergeable, match="Base branch was modified") as caught:
        gate.merge(change.number, change.head, "Merge")
    assert caught.value.next_step == "evaluate_again"
    assert forge.repository.resolve("main") == moved[0]


def test_of_changes_merged_at_once_each_lands_exactly_once(forge: Forge, proposal: Propose) -> None:
    devops = forge.changes("elf-devops")
    changes = [devops.propose(proposal(f"team{index}")) for index in range(4)]
    desks = [forge.changes("elf-gate") for _ in range(4)]

    def merge(desk: Changes, change: Change) -> int:
        """The number of attempts it took; each refusal must be one that says 'evaluate again'."""
        for attempt in range(1, 30):
            try:
                desk.merge(change.number, change.head, f"Merge {change.number}")
            except ChangesError as error:
                if error.next_step != "evaluate_again":
                    raise
            else:
                return attempt
        raise AssertionError("never merged")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(merge, desks, changes))
    merges = [commit for commit in forge.repository.log("main", first_parent=True) if len(commit.parents) == 2]
    assert sorted(commit.parents[1] for commit in merges) == sorted(change.head for change in changes)
    assert all(forge.repository.tree("main", f"teams/team{index}") for index in range(4))
    assert devops.open() == []


def test_the_same_change_merged_by_many_at_once_is_merged_once(forge: Forge, proposal: Propose) -> None:
    change = forge.changes("elf-devops").propose(proposal())
    desks = [forge.changes("elf-gate") for _ in range(4)]

    def merge(desk: Changes) -> str | None:
        try:
            return desk.merge(change.number, change.head, "Merge")
        except ChangesError:
            return None

    with ThreadPoolExecutor(4) as pool:
        results = set(pool.map(merge, desks)) - {None}
    assert results == {forge.repository.resolve("main")}
    assert len(forge.repository.log("main")) == 3


def test_a_conflict_a_closed_change_and_a_draft_are_not_mergeable(
    forge: Forge, gate: Changes, proposal: Propose
) -> None:
    devops = forge.changes("elf-devops")
    one = devops.propose(_readme("one", b"# One\n"))
    two = devops.propose(_readme("two", b"# Two\n"))
    gate.merge(one.number, one.head, "Merge")
    with pytest.raises(NotMergeable):
        gate.merge(two.number, two.head, "Merge")
    three = devops.propose(proposal("three"))
    gate.reject(three.number, "not now")
    with pytest.raises(NotMergeable):
        gate.merge(three.number, three.head, "Merge")
    head = devops.propose(proposal("four")).head
    forge.repository.update_refs([RefUpdate("refs/heads/auto/draft", head, ANY)], login="elf-devops")
    draft = {"title": "D", "head": "auto/draft", "base": "main", "draft": True}
    number = forge.api("elf-devops", "POST", "pulls", draft).json()["number"]
    assert forge.api("elf-gate", "PUT", f"pulls/{number}/merge", {"sha": head}).status_code == 405
    assert forge.api("elf-gate", "PUT", f"pulls/{number}/merge", {"merge_method": "squash"}).status_code == 405


def _readme(name: str, text: bytes) -> Proposal:
    return Proposal(f"auto/edit/{name}", name, "", (), {"README.md": text}, f"{name}\n")


@pytest.mark.rows("F99", "F106")
@pytest.mark.parametrize("login", ["elf-devops", "owner"])
def test_only_the_gate_merges(forge: Forge, proposal: Propose, login: str) -> None:
    change = forge.changes("elf-devops").propose(proposal())
    before = forge.repository.resolve("main")
    with pytest.raises(NotAllowed, match="lacks the right to merge"):
        forge.changes(login).merge(change.number, change.head, "Merge")
    assert forge.repository.resolve("main") == before


def test_a_merge_cut_short_after_main_moved_is_recognised(forge: Forge, gate: Changes, proposal: Propose) -> None:
    change = forge.changes("elf-devops").propose(proposal())
    merged = gate.merge(change.number, change.head, "Merge")
    forge.repository.update_ref(f"refs/pull/{change.number}/merged", None, merged)
    assert forge.changes("owner").get(change.number).merge_commit == merged
    assert gate.merge(change.number, change.head, "Merge") == merged
