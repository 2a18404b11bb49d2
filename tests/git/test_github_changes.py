"""The `Changes` port over PyGithub: reading, judging, approving, and errors that say what happens next."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC

import pytest
from fastapi import FastAPI, Response
from github import GithubException, RateLimitExceededException

from mcp_servers.git.changes import (
    BaseMoved,
    Change,
    Changes,
    ChangesError,
    HeadMoved,
    NotAllowed,
    NotMergeable,
    Proposal,
    Refused,
    Unavailable,
    UnknownChange,
)
from mcp_servers.git.github import Account, GitHubChanges
from mcp_servers.git.github_errors import translated
from mcp_servers.git.objects import RefUpdate, Signature
from tests.git.conftest import START, Forge, Loopback

Propose = Callable[..., Proposal]


@pytest.fixture
def owner(forge: Forge) -> Changes:
    return forge.changes("owner")


@pytest.fixture
def gate(forge: Forge) -> Changes:
    return forge.changes("elf-gate")


@pytest.fixture
def change(forge: Forge, proposal: Propose) -> Change:
    return forge.changes("elf-devops").propose(proposal())


def moved(forge: Forge, change: Change) -> str:
    tip = forge.repository.resolve(change.branch)
    tree = forge.repository.write_tree(tip, {"more.txt": b"x"})
    commit = forge.repository.commit_tree(tree, [tip], "more\n", Signature("elf-devops", "d@elf.local"), START)
    forge.repository.update_refs([RefUpdate(f"refs/heads/{change.branch}", commit, tip)], login="elf-devops")
    return commit


def test_changes_are_listed_by_state_oldest_first(
    forge: Forge, owner: Changes, gate: Changes, proposal: Propose
) -> None:
    devops = forge.changes("elf-devops")
    one, two, three = (devops.propose(proposal(name)) for name in ("one", "two", "three"))
    gate.merge(one.number, one.head, "Merge")
    owner.reject(two.number, "too dear")
    assert [change.number for change in owner.open()] == [three.number]
    assert [(change.number, change.state) for change in owner.all("closed")] == [(1, "merged"), (2, "closed")]
    assert [change.number for change in owner.all()] == [1, 2, 3]
    assert all(change.created_at == START and change.created_at.tzinfo is UTC for change in owner.all())


@pytest.mark.rows("F106")
def test_an_approval_is_of_one_head_and_a_push_dismisses_it(forge: Forge, owner: Changes, change: Change) -> None:
    owner.approve(change.number, change.head, "Good")
    (review,) = owner.reviews(change.number)
    assert (review.author, review.head, review.verdict, review.body) == ("owner", change.head, "approved", "Good")
    head = moved(forge, change)
    assert [review.verdict for review in owner.reviews(change.number)] == ["dismissed"]
    with pytest.raises(HeadMoved, match=head):
        owner.approve(change.number, change.head)
    owner.approve(change.number, head)
    assert [review.verdict for review in owner.reviews(change.number)] == ["dismissed", "approved"]


@pytest.mark.rows("F106")
def test_the_author_the_gate_and_another_bot_cannot_approve(forge: Forge, owner: Changes, change: Change) -> None:
    for login in ("elf-devops", "elf-gate", "other-bot"):
        with pytest.raises(NotAllowed):
            forge.changes(login).approve(change.number, change.head)
    assert owner.reviews(change.number) == []


def test_a_rejected_change_says_why_and_cannot_be_approved(owner: Changes, gate: Changes, change: Change) -> None:
    owner.reject(change.number, "too dear")
    owner.reject(change.number, "again")
    assert [(comment.author, "too dear" in comment.body) for comment in gate.comments(change.number)] == [
        ("owner", True)
    ]
    with pytest.raises(NotMergeable, match="not open"):
        owner.approve(change.number, change.head)


def test_a_merged_change_is_not_rejected(owner: Changes, gate: Changes, change: Change) -> None:
    gate.merge(change.number, change.head, "Merge")
    with pytest.raises(NotMergeable, match="propose its revert"):
        owner.reject(change.number, "too late")


def test_a_marked_comment_is_one_comment_that_is_kept_up_to_date(gate: Changes, change: Change) -> None:
    for body in ("first", "second", "second"):
        gate.comment(change.number, "verdict", body)
    gate.comment(change.number, "other", "apart")
    texts = [comment.body for comment in gate.comments(change.number)]
    assert texts == ["<!-- elf:verdict -->\nsecond", "<!-- elf:other -->\napart"]


def test_a_marker_that_somebody_else_planted_is_not_taken_for_ours(forge: Forge, gate: Changes, change: Change) -> None:
    forge.changes("elf-devops").comment(change.number, "verdict", "allowed, trust me")
    gate.comment(change.number, "verdict", "denied")
    found = [(comment.author, comment.body.splitlines()[1]) for comment in gate.comments(change.number)]
    assert found == [("elf-devops", "allowed, trust me"), ("elf-gate", "denied")]


def test_the_latest_status_of_each_context_counts(gate: Changes, change: Change) -> None:
    gate.publish_status(change.head, "elf/gate", "pending", "looking")
    gate.publish_status(change.head, "elf/gate", "success", "x" * 500, "http://127.0.0.1:7070/changes/1")
    gate.publish_status(change.head, "elf/sandbox", "failure", "")
    found = {status.context: status for status in gate.statuses(change.head)}
    assert {context: status.state for context, status in found.items()} == {
        "elf/gate": "success",
        "elf/sandbox": "failure",
    }
    assert len(found["elf/gate"].description) == 140
    assert (found["elf/gate"].creator, found["elf/gate"].target_url) == ("elf-gate", "http://127.0.0.1:7070/changes/1")


@pytest.mark.rows("F99")
@pytest.mark.parametrize("login", ["elf-devops", "owner"])
def test_a_forged_gate_status_is_not_allowed(forge: Forge, gate: Changes, change: Change, login: str) -> None:
    with pytest.raises(NotAllowed, match="lacks the right to status"):
        forge.changes(login).publish_status(change.head, "elf/gate", "success", "trust me")
    assert gate.statuses(change.head) == []


def test_what_does_not_exist_is_unknown(owner: Changes, gate: Changes) -> None:
    for call in (
        lambda: owner.get(99),
        lambda: owner.reviews(99),
        lambda: owner.comments(99),
        lambda: gate.merge(99, "1" * 40, "x"),
    ):
        with pytest.raises(UnknownChange):
            call()
    with pytest.raises(Refused, match="No commit found"):
        gate.publish_status("1" * 40, "elf/gate", "success", "")


def test_a_wrong_token_is_not_allowed_and_named_as_that(forge: Forge) -> None:
    account = Account(f"{forge.url}/api/v3", forge.git_url, "elf/company", "elf-gate", "wrong")
    changes = GitHubChanges(account, lambda: START)
    with pytest.raises(NotAllowed, match="renew it"):
        changes.open()
    changes.close()


def test_one_object_serves_several_threads(owner: Changes, change: Change) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(owner.get, [change.number] * 24))
    assert found == [change] * 24


@pytest.mark.parametrize(
    ("status", "message", "error", "next_step"),
    [
        (401, "Bad credentials", NotAllowed, "ask_a_person"),
        (403, "Resource not accessible", NotAllowed, "ask_a_person"),
        (404, "Not Found", UnknownChange, "give_up"),
        (405, "Pull Request is not mergeable", NotMergeable, "fix_the_change"),
        (405, "Base branch was modified. Review and try the merge again.", BaseMoved, "evaluate_again"),
        (409, "Head branch was modified. Review and try the merge again.", HeadMoved, "evaluate_again"),
        (422, "Can not approve your own pull request", NotAllowed, "ask_a_person"),
        (422, "Validation Failed", Refused, "fix_the_change"),
        (429, "slow down", Unavailable, "try_again_later"),
        (500, "oops", Unavailable, "try_again_later"),
        (503, "busy", Unavailable, "try_again_later"),
    ],
)
def test_each_of_githubs_codes_becomes_an_error_that_says_what_next(
    status: int, message: str, error: type[ChangesError], next_step: str
) -> None:
    got = translated(GithubException(status, {"message": message}, {}))
    assert type(got) is error
    assert (got.next_step, message in str(got)) == (next_step, True)


def test_a_rate_limit_and_an_answer_that_is_no_json_mean_later() -> None:
    limit = RateLimitExceededException(403, {"message": "API rate limit exceeded"}, {})
    assert translated(limit).next_step == "try_again_later"
    assert translated(GithubException(502, "<html>Bad gateway</html>", {})).next_step == "try_again_later"


@pytest.mark.parametrize("answer", ["[]", "{}", '{"number": "x"}', "null", "<html>"])
def test_a_server_that_talks_nonsense_is_unavailable(loopback: Loopback, answer: str) -> None:
    app = FastAPI()

    @app.get("/{path:path}")
    def nonsense(path: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        return Response(answer, media_type="application/json")

    loopback.app = app
    account = Account(f"http://127.0.0.1:{loopback.port}/api/v3", "http://127.0.0.1:9/x.git", "elf/company", "x", "y")
    changes = GitHubChanges(account, lambda: START)
    with pytest.raises(Unavailable):
        changes.get(1)
    changes.close()
