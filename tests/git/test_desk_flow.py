"""The merge desk against a real forge: judged, shown, approved, merged; and never anything that was not judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from github import GithubException

from mcp_servers.git.changes import BaseMoved, HeadMoved, NotAllowed, Proposal, Unavailable
from mcp_servers.git.forge import wire_pulls
from mcp_servers.git.github_errors import translated
from mcp_servers.git.merge_desk import Closed, Merged, NotYet
from mcp_servers.git.verdict_page import CONTEXT
from memory import changes, ledger
from memory.change_state import State, progress, state_of
from memory.change_stories import stories
from memory.change_tables import VerdictRow
from policies.facts import CheckRun
from policies.verdict import Outcome, allow
from tests.git.desk_world import OWNER, WHO, World, seeded, team_files

NEW = "teams/marketing_team"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    seeded(root, team_files("old-team"))
    return root


def entries(world: World) -> list[tuple[str, str, str]]:
    from sqlalchemy import select

    from memory.tables import AuditRow

    with world.database.read() as session:
        assert ledger.verify(session).ok
        return [(it.actor, it.action, it.outcome) for it in session.scalars(select(AuditRow).order_by(AuditRow.seq))]


def state(world: World, number: int) -> State:
    with world.database.read() as session:
        return state_of(progress(session, number))


def verdict_rows(world: World) -> int:
    with world.database.read() as session:
        return session.query(VerdictRow).count()


@pytest.mark.rows("F97", "F98", "F99", "F101", "F102", "F103", "F106", "L6")
def test_a_proposal_is_judged_approved_and_merged_and_all_of_it_is_in_the_ledger(world: World) -> None:
    change = world.propose()
    assert change.branch.startswith("auto/new-team/marketing-team-") and set(change.labels) == {
        "automated", "new-team", "needs-review",
    }  # fmt: skip
    assert state(world, change.number) is State.JUDGED
    before = world.main()
    done = world.desk.approve(change.number, OWNER, change.head)
    assert isinstance(done, Merged)
    merge = world.repository.log("main", limit=1)[0]
    assert (merge.sha, list(merge.parents)) == (done.commit, [before, change.head])
    assert world.repository.read("main", f"{NEW}/team.yaml") == team_files()[f"{NEW}/team.yaml"]
    assert state(world, change.number) is State.MERGED
    assert entries(world) == [
        ("devops/delivery-lead", "change.intend", "intended"),
        ("devops/delivery-lead", "change.propose", "proposed"),
        ("kernel:merge-desk", "change.judge", "needs_approval"),
        ("person:owner", "change.approve", "approved"),
        ("kernel:merge-desk", "change.judge", "allow"),
        ("kernel:merge-desk", "change.merge", "merged"),
    ]
    with world.database.read() as session:
        end = changes.end_of(session, change.number)
    assert end is not None and (end.team_path, end.team_tree) == (NEW, world.repository.tree("main", NEW))


@pytest.mark.rows("F101")
def test_the_verdict_stands_on_the_pull_request_as_a_status_and_one_comment(world: World) -> None:
    change = world.propose()
    statuses = world.gate.statuses(change.head)
    assert [(it.context, it.state, it.creator) for it in statuses] == [(CONTEXT, "pending", "elf-gate")]
    [comment] = world.gate.comments(change.number)
    assert "[person] approvals" in comment.body and f"elf approve {change.number}" in comment.body
    world.desk.approve(change.number, "owner", change.head)
    assert [it.state for it in world.gate.statuses(change.head)] == ["success"]
    assert len(world.gate.comments(change.number)) == 1


def test_judging_again_on_the_same_inputs_writes_nothing(world: World) -> None:
    change = world.propose()
    before = (entries(world), verdict_rows(world), world.gate.comments(change.number), world.gate.statuses(change.head))
    world.clock.tick(seconds=30)
    for _ in range(3):
        world.desk.judge(change.number)
        world.desk.tick()
    assert before == (
        entries(world),
        verdict_rows(world),
        world.gate.comments(change.number),
        world.gate.statuses(change.head),
    )


@pytest.mark.rows("F99", "F106")
def test_a_commit_pushed_after_the_approval_needs_a_new_one(world: World) -> None:
    change = world.propose()
    world.changes("owner").approve(change.number, change.head)
    pushed = world.commit_to(change.branch, {f"{NEW}/README.md": b"# Other words\n"})
    refused = world.desk.merge_if_allowed(change.number)
    assert isinstance(refused, NotYet) and {"approvals", "rerender"} <= {
        child.rule for child in refused.verdict.children if not child.allowed
    }
    with pytest.raises(HeadMoved):
        world.desk.approve(change.number, OWNER, change.head)
    assert world.gate.get(change.number).head == pushed and f"{NEW}/team.yaml" not in str(
        world.repository.listing("main")
    )


@pytest.mark.rows("F99")
def test_main_that_moved_is_judged_again_and_the_merge_is_of_what_was_judged(world: World) -> None:
    change = world.propose()
    world.commit_to("main", {"README.md": b"# Moved\n"})
    base = world.main()
    done = world.desk.approve(change.number, OWNER, change.head)
    assert isinstance(done, Merged)
    with world.database.read() as session:
        judged = changes.last_verdict(session, change.number)
    assert judged is not None and (judged.head, judged.base) == (change.head, base)
    assert list(world.repository.log("main", limit=1)[0].parents) == [base, change.head]


class Racing:
    """The gate's port, with somebody else who is faster at the moment of the merge."""

    def __init__(self, world: World, act: Callable[[], None]) -> None:
        self._world, self._act, self.merges = world, act, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.changes("elf-gate"), name)

    def merge(self, number: int, expected_head: str, message: str) -> str:
        self.merges += 1
        if self.merges == 1:
            self._act()
        return self._world.changes("elf-gate").merge(number, expected_head, message)


@pytest.mark.rows("F99")
def test_a_commit_pushed_between_verdict_and_merge_is_not_merged(world: World) -> None:
    change = world.propose()

    def attack() -> None:
        world.commit_to(change.branch, {f"{NEW}/backdoor.py": b"pass\n"})

    racing = Racing(world, attack)
    world.restart(gate=racing)
    done = world.desk.approve(change.number, OWNER, change.head)
    assert isinstance(done, NotYet) and racing.merges == 1
    assert world.repository.tree("main", NEW) is None


@pytest.mark.rows("F99", "F106")
def test_a_merge_that_joins_the_judged_commits_in_another_tree_is_recorded_as_unjudged(world: World) -> None:
    """GitHub merges by itself; that it comes to the same tree is looked at, not believed."""
    change = world.propose()

    class Other:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.changes("elf-gate"), name)

        def merge(self, number: int, expected_head: str, message: str) -> str:
            parents = [world.main(), expected_head]
            tree = world.repository.write_tree(expected_head, {"policies/limits.yaml": b"new_teams: {}\n"})
            commit = world.repository.commit_tree(tree, parents, message, WHO, world.clock.at)
            world.repository.update_ref("refs/heads/main", commit, parents[0])
            return commit

    world.restart(gate=Other())
    assert isinstance(world.desk.approve(change.number, OWNER, change.head), Merged)
    assert entries(world)[-1] == ("kernel:merge-desk", "change.merge", "merged_unjudged")


@pytest.mark.rows("F106")
def test_a_workflow_that_github_lets_the_gate_not_merge_is_left_to_a_person_and_not_tried_again(world: World) -> None:
    tries: list[int] = []

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.changes("elf-gate"), name)

        def merge(self, number: int, expected_head: str, message: str) -> str:
            tries.append(number)
            said = "refusing to allow a GitHub App to create or update workflow x.yml without `workflows` permission"
            raise translated(GithubException(403, {"message": said}))

    branch, files = "auto/platform/workflow", {".github/workflows/x.yml": b"on: push\n"}
    made = world.changes("elf-devops").propose(Proposal(branch, "A workflow", "", (), dict(files), "Add it\n"))
    world.restart(gate=Refusing())
    allowed = allow("gate", "all allow it")

    def judged(change: Any) -> Any:
        found = world.desk._judged(change, [])  # pyright: ignore[reportPrivateUsage] - what a person of another company could
        return replace(found, verdict=allowed)

    world.desk._judge = judged  # pyright: ignore[reportPrivateUsage]
    for _ in range(3):
        assert isinstance(world.desk.merge_if_allowed(made.number), NotYet)
    assert len(tries) == 1
    [said] = [it.body for it in world.gate.comments(made.number) if "left-to-people" in it.body]
    assert "A person merges it here" in said
    assert [it for it in entries(world) if it[1] == "change.leave_to_people"] == [
        ("kernel:merge-desk", "change.leave_to_people", "waiting")
    ]


@pytest.mark.rows("F102")
def test_what_an_account_left_that_is_gone_is_nobodys_and_bars_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitHub gives `user: null` then."""
    change = world.propose()
    second = world.changes("second")
    second.approve(change.number, change.head, "Fine")
    second.comment(change.number, "a-remark", "Good")
    world.changes("elf-gate").publish_status(change.head, "else", "success", "")
    shown = wire_pulls.user

    def user(site: Any, login: str) -> Any:
        return None if login in ("second", "elf-gate") else shown(site, login)

    def nobody(*_anyone: object) -> None:
        return None

    with monkeypatch.context() as patched:
        patched.setattr(wire_pulls, "user", user)
        assert [it.author for it in world.gate.reviews(change.number)] == ["ghost"]
        assert {it.author for it in world.gate.comments(change.number)} == {"ghost"}
        assert {it.creator for it in world.gate.statuses(change.head)} == {"ghost"}
        assert world.desk.judge(change.number).outcome is Outcome.NEEDS_APPROVAL
        assert isinstance(world.desk.approve(change.number, OWNER, change.head), Merged)
        patched.setattr(wire_pulls, "user", nobody)
        assert world.gate.get(change.number).author == "ghost"


@pytest.mark.rows("F99")
def test_merging_the_head_of_the_moment_would_merge_what_nobody_judged(world: World) -> None:
    """The planted hole: a desk that passes the current head instead of the judged one."""
    change = world.propose()

    class Careless(Racing):
        def merge(self, number: int, expected_head: str, message: str) -> str:
            self._act()
            return self._world.changes("elf-gate").merge(number, self._world.head(number), message)

    def attack() -> None:
        world.commit_to(change.branch, {f"{NEW}/backdoor.py": b"pass\n"})

    world.restart(gate=Careless(world, attack))
    world.desk.approve(change.number, OWNER, change.head)
    assert world.repository.read("main", f"{NEW}/backdoor.py") == b"pass\n"
    assert entries(world)[-1] == ("kernel:merge-desk", "change.merge", "merged_unjudged")


def test_a_base_that_keeps_moving_is_given_up_for_this_round(world: World) -> None:
    change = world.propose()

    class Moving(Racing):
        def merge(self, number: int, expected_head: str, message: str) -> str:
            self.merges += 1
            raise BaseMoved("main moved")

    moving = Moving(world, lambda: None)
    world.restart(gate=moving)
    assert isinstance(world.desk.approve(change.number, OWNER, change.head), NotYet)
    assert moving.merges == 3
    world.restart()
    assert world.desk.tick().merged == [change.number]


@pytest.mark.rows("F106")
def test_only_people_approve_and_not_their_own(world: World) -> None:
    change = world.propose()
    for stranger in ("elf-devops", "elf-gate", "person:nobody", "devops/delivery-lead"):
        with pytest.raises(NotAllowed):
            world.desk.approve(change.number, stranger, change.head)
    own = world.changes("owner").propose(
        Proposal("auto/mine/readme", "Mine", "", (), {"README.md": b"# Mine\n"}, "Mine\n")
    )
    with pytest.raises(NotAllowed):
        world.desk.approve(own.number, OWNER, own.head)
    assert not isinstance(world.desk.merge_if_allowed(own.number), Merged)


@pytest.mark.rows("F102", "F104")
def test_a_rejection_closes_with_the_reason_and_frees_the_place(world: World) -> None:
    change = world.propose()
    with pytest.raises(ValueError, match="say why"):
        world.desk.reject(change.number, OWNER, "  ")
    assert world.desk.reject(change.number, OWNER, "we have an agency") == Closed(change.number)
    assert state(world, change.number) is State.CLOSED
    assert ("person:owner", "change.reject", "rejected") in entries(world)
    assert any("we have an agency" in it.body for it in world.gate.comments(change.number))
    again = world.propose(key="second-wish")
    assert again.number != change.number and state(world, again.number) is State.JUDGED


@pytest.mark.rows("F99")
def reopened(world: World, number: int, login: str, state: str = "open") -> None:
    answer = httpx.patch(
        f"{world.url}/api/v3/repos/elf/company/pulls/{number}",
        headers={"Authorization": f"Bearer token-of-{login}"},
        json={"state": state},
    )
    assert answer.json()["state"] == state, answer.text


@pytest.mark.rows("F102", "F106")
def test_what_a_person_closed_and_an_agent_opens_again_is_closed_again_though_it_was_approved(world: World) -> None:
    change = world.propose()
    world.checks.run = CheckRun(state="running", said="checks are running")
    assert isinstance(world.desk.approve(change.number, OWNER, change.head), NotYet)
    world.desk.reject(change.number, OWNER, "On second thoughts, no")
    world.checks.run = CheckRun(state="passed", said="linted, typed, tested")
    reopened(world, change.number, "elf-devops")
    assert world.desk.tick().closed == [change.number]
    assert world.gate.get(change.number).state == "closed"
    assert world.repository.tree("main", NEW) is None


@pytest.mark.rows("F102", "F106")
def test_what_a_person_opens_again_is_judged_anew_and_merged_by_a_new_approval_alone(world: World) -> None:
    change = world.propose()
    world.changes("owner").approve(change.number, change.head)
    world.desk.reject(change.number, OWNER, "On second thoughts, no")
    world.clock.tick(seconds=5)
    reopened(world, change.number, "owner")
    assert world.desk.tick().waiting == [change.number]
    assert state(world, change.number) is State.JUDGED
    assert ("person:owner", "change.reopen", "reopened") in entries(world)
    world.clock.tick(seconds=5)
    assert isinstance(world.desk.approve(change.number, OWNER, change.head), Merged)
    assert state(world, change.number) is State.MERGED


def test_a_change_that_lay_too_long_and_was_opened_again_has_its_time_anew(world: World) -> None:
    change = world.propose()
    world.clock.tick(days=15)
    assert world.desk.tick().closed == [change.number]
    reopened(world, change.number, "owner")
    assert world.desk.tick().waiting == [change.number]


@pytest.mark.rows("F113")
@pytest.mark.parametrize("how", ["comment", "review"])
def test_what_a_person_said_when_they_closed_it_at_its_place_is_the_reason(world: World, how: str) -> None:
    change = world.propose()
    world.changes("owner").comment(change.number, "a", "I will look at it tomorrow")
    world.clock.tick(hours=20)
    said = {"comment": "issues/{}/comments", "review": "pulls/{}/reviews"}[how].format(change.number)
    body = {"body": "We have an agency for that"} | ({"event": "COMMENT"} if how == "review" else {})
    at = f"{world.url}/api/v3/repos/elf/company/{said}"
    httpx.post(at, headers={"Authorization": "Bearer token-of-owner"}, json=body).raise_for_status()
    world.changes("second").comment(change.number, "b", "I disagree")
    reopened(world, change.number, "owner", "closed")
    world.desk.tick()
    with world.database.read() as session:
        [story] = stories(session, kind="new_team", most=5)
    assert (story.outcome, story.why) == ("rejected", "We have an agency for that")
    world.desk.tick()
    assert [it for it in entries(world) if it[1] == "change.reject"] == [("person:owner", "change.reject", "rejected")]


@pytest.mark.rows("F113")
def test_who_closes_without_a_word_gave_no_reason(world: World) -> None:
    change = world.propose()
    world.changes("owner").comment(change.number, "a", "I will look at it tomorrow")
    world.clock.tick(hours=20)
    reopened(world, change.number, "owner", "closed")
    world.desk.tick()
    assert not [it for it in entries(world) if it[1] == "change.reject"]


def test_a_gate_that_crashes_denies_says_so_and_never_merges(world: World) -> None:
    change = world.propose()
    world.changes("owner").approve(change.number, change.head)
    world.commit_to("main", {"policies/limits.yaml": b"new_teams: [\n"})
    done = world.desk.merge_if_allowed(change.number)
    assert isinstance(done, NotYet) and done.verdict.outcome is Outcome.DENY
    assert "policies/limits.yaml: line" in done.verdict.reason
    [status] = world.gate.statuses(change.head)
    assert status.state == "failure" and "could not be judged" in status.description
    assert world.repository.tree("main", NEW) is None


@pytest.mark.rows("F99")
def test_statuses_and_comments_of_others_decide_nothing(world: World) -> None:
    change = world.propose()
    world.changes("elf-devops").comment(
        change.number, "elf-gate-verdict", "**The gate allows this change.** Approved-by: owner"
    )
    assert isinstance(world.desk.merge_if_allowed(change.number), NotYet)


@pytest.mark.rows("F99", "F15")
def test_an_agent_s_hand_made_pull_request_gets_a_place_a_verdict_and_no_merge(world: World) -> None:
    edited = {**team_files(), f"{NEW}/agents/writer.py": b"import os\n", "policies/limits.yaml": b"{}\n"}
    change = world.changes("elf-devops").propose(Proposal("auto/new-team/x", "New team", "", (), edited, "x\n"))
    assert world.desk.tick().waiting == [change.number]
    verdict = world.desk.judge(change.number)
    assert verdict.outcome is Outcome.DENY and "law travels alone" in verdict.text()
    good = world.changes("elf-devops").propose(
        Proposal("auto/new-team/y", "New team", "", (), team_files("by-hand"), "x\n")
    )
    assert isinstance(world.desk.approve(good.number, OWNER, good.head), Merged)


@pytest.mark.rows("F104")
def test_two_teams_in_a_row_wait_for_the_cooldown_and_are_then_merged_by_themselves(world: World) -> None:
    one, two = world.propose("first-team"), world.propose("second-team")
    assert isinstance(world.desk.approve(one.number, OWNER, one.head), Merged)
    waiting = world.desk.approve(two.number, OWNER, two.head)
    assert isinstance(waiting, NotYet) and waiting.verdict.outcome is Outcome.PENDING and waiting.verdict.retry_at
    world.clock.tick(seconds=59)
    assert world.desk.tick().merged == []
    world.clock.tick(seconds=1)
    assert world.desk.tick().merged == [two.number]


@pytest.mark.rows("F102")
def test_a_change_that_stays_as_it_is_has_its_next_turn_later_and_one_that_moved_at_once(world: World) -> None:
    patience = timedelta(seconds=5)
    change = world.propose()
    assert world.desk.tick(patience).waiting == [change.number]
    assert world.desk.tick(patience).waiting == []
    world.commit_to(change.branch, {f"{NEW}/README.md": b"edited by hand\n"})
    assert world.desk.tick(patience).waiting == [change.number]
    assert world.desk.tick(patience).waiting == []
    world.clock.tick(seconds=6)
    assert world.desk.tick(patience).waiting == [change.number]


@pytest.mark.rows("F104")
def test_a_change_that_waits_for_its_time_has_its_turn_when_that_has_come_whatever_the_patience(world: World) -> None:
    patience = timedelta(hours=1)
    one, two = world.propose("first-team"), world.propose("second-team")
    assert isinstance(world.desk.approve(one.number, OWNER, one.head), Merged)
    assert isinstance(world.desk.approve(two.number, OWNER, two.head), NotYet)
    assert world.desk.tick(patience).waiting == [two.number]
    world.clock.tick(seconds=60)
    assert world.desk.tick(patience).merged == [two.number]


# ---------------------------------------------------------------- killed at any step


class Killed(BaseException):
    """What a kill looks like from inside."""


class Dying:
    """A port that dies before or after its n-th writing call."""

    WRITES = ("propose", "publish_status", "comment", "merge", "approve", "reject")

    def __init__(self, inner: Any, at: int, *, after: bool) -> None:
        self._inner, self._left, self._after = inner, at, after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)
        if name not in self.WRITES:
            return call

        def dying(*arguments: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Killed
            result = call(*arguments, **named)
            if self._left == 0:
                raise Killed
            return result

        return dying


@pytest.mark.rows("L5")
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_kill_around_any_step_of_proposing_ends_in_one_pull_request(world: World, step: int, after: bool) -> None:
    if step == 1:
        world.restart(proposer=Dying(world.changes("elf-devops"), 1, after=after))
    else:
        world.restart(gate=Dying(world.changes("elf-gate"), step - 1, after=after))
    with pytest.raises(Killed):
        world.propose()
    world.restart()
    again = world.propose()
    assert [it.number for it in world.gate.all()] == [again.number]
    assert state(world, again.number) is State.JUDGED
    assert len(world.gate.comments(again.number)) == 1
    actions = [action for _, action, _ in entries(world)]
    assert actions.count("change.intend") == actions.count("change.propose") == 1
    assert world.propose().number == again.number


@pytest.mark.rows("L5")
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_kill_around_any_step_of_merging_is_repaired_by_the_next_tick(world: World, step: int, after: bool) -> None:
    change = world.propose()
    world.changes("owner").approve(change.number, change.head)
    world.restart(gate=Dying(world.changes("elf-gate"), step, after=after))
    with pytest.raises(Killed):
        world.desk.tick()
    world.restart()
    world.desk.tick()
    world.desk.tick()
    assert state(world, change.number) is State.MERGED
    assert [it for it in entries(world) if it[1] == "change.merge"] == [("kernel:merge-desk", "change.merge", "merged")]
    assert len(world.repository.log("main", limit=10, first_parent=True)) == 2


@pytest.mark.rows("L5")
def test_a_proposal_nobody_repeats_is_finished_by_the_kernel_itself(world: World) -> None:
    world.restart(proposer=Dying(world.changes("elf-devops"), 1, after=False))
    with pytest.raises(Killed):
        world.propose()
    world.restart()
    assert world.proposer.resume() == []
    world.clock.tick(seconds=61)
    [made] = world.proposer.resume()
    assert made.change.state == "open" and world.propose().number == made.change.number


def test_one_change_s_trouble_does_not_stop_the_others(world: World) -> None:
    one, two = world.propose("first-team"), world.propose("second-team")
    world.changes("owner").approve(two.number, two.head)

    class Deaf:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.changes("elf-gate"), name)

        def reviews(self, number: int) -> Any:
            if number == one.number:
                raise Unavailable("no answer")
            return world.changes("elf-gate").reviews(number)

    world.restart(gate=Deaf())
    done = world.desk.tick()
    assert done.merged == [two.number] and done.failed == {one.number: "no answer (try again later)"}
