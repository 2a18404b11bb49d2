"""The forge keeps the rulesets it is given: on pushes, on the REST interface and on merges, and they can only close more."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcp_servers.git.changes import NotAllowed, Proposal
from mcp_servers.git.forge import PERSON, PROPOSER, Identity, pulls, smart_http
from mcp_servers.git.forge.identity import number_of
from mcp_servers.git.forge.rulesets import MergeFacts, Ruleset, closed_refs, expression_of, merge_violations
from mcp_servers.git.objects import RefUpdate
from tests.git.conftest import Forge, proposal_of

#: GitHub's patterns, and which branches each is about.
PATTERNS: list[tuple[str, list[str], list[str]]] = [
    ("~ALL", ["main", "auto/x/y"], []),
    ("~DEFAULT_BRANCH", ["main"], ["main2", "x/main"]),
    ("refs/heads/main", ["main"], ["mainx", "x/main"]),
    ("refs/heads/auto/*", ["auto/x"], ["auto/x/y", "auto", "autox"]),
    ("refs/heads/auto/**", ["auto/x"], ["auto/x/y"]),
    ("refs/heads/auto/**/*", ["auto/x", "auto/x/y", "auto/x/y/z"], ["auto", "main"]),
    ("refs/heads/**/*", ["main", "auto/x/y"], []),
    ("refs/heads/v?.0", ["v1.0"], ["v10.0", "v1x0", "v/.0"]),
    ("refs/heads/a.b", ["a.b"], ["axb"]),
    ("refs/heads/a+(b)|{c}", ["a+(b)|{c}"], ["aab"]),
]


@pytest.mark.parametrize(("pattern", "about", "others"), PATTERNS)
def test_a_pattern_means_the_same_here_at_github_and_to_the_push_hook(
    pattern: str, about: list[str], others: list[str]
) -> None:
    expression = expression_of(pattern)
    for name in about + others:
        ref = f"refs/heads/{name}"
        by_grep = subprocess.run(["grep", "-Eqx", "-e", expression], input=f"{ref}\n", text=True).returncode == 0
        assert (bool(re.fullmatch(expression, ref)), by_grep) == (name in about, name in about), (pattern, name)


def give(forge: Forge, rules: list[dict[str, Any]], include: str, exclude: str = "", **more: Any) -> int:
    names = {"include": [include], "exclude": [exclude] if exclude else []}
    body = {"name": include, "enforcement": "active", "conditions": {"ref_name": names}, "rules": rules, **more}
    made = forge.api("owner", "POST", "rulesets", body)
    assert made.status_code == 201, made.text
    return int(made.json()["id"])


@pytest.fixture
def work(forge: Forge, tmp_path: Path) -> Path:
    folder = forge.clone("elf-devops", tmp_path / "work")
    (folder / "new.txt").write_text("new\n")
    for step in (("checkout", "--quiet", "-b", "mine"), ("add", "."), ("commit", "--quiet", "-m", "New")):
        assert forge.git("elf-devops", folder, *step).returncode == 0
    return folder


def pushed(forge: Forge, folder: Path, ref: str, login: str = "elf-devops") -> str:
    """'' if it went through, else what git printed."""
    done = forge.git(login, folder, "push", "origin", ref)
    return "" if done.returncode == 0 else done.stderr


EVERY = [{"type": kind} for kind in ("creation", "update", "non_fast_forward")]


@pytest.mark.rows("F99")
def test_a_push_is_held_to_the_rulesets(forge: Forge, work: Path) -> None:
    assert pushed(forge, work, "mine:auto/shut/a") == ""
    give(forge, EVERY, "refs/heads/auto/shut/**/*", exclude="refs/heads/auto/shut/open")
    assert "creations being restricted" in pushed(forge, work, "mine:auto/shut/b")
    assert pushed(forge, work, "mine:auto/shut/open") == ""
    assert pushed(forge, work, "mine:auto/elsewhere") == ""
    forge.git("elf-devops", work, "commit", "--quiet", "--allow-empty", "-m", "More")
    assert "Cannot update this protected ref" in pushed(forge, work, "mine:auto/shut/a")


def test_a_forced_push_is_held_back_where_history_must_stay(forge: Forge, work: Path) -> None:
    give(forge, [{"type": "non_fast_forward"}], "refs/heads/auto/**/*")
    assert pushed(forge, work, "mine:auto/a") == ""
    forge.git("elf-devops", work, "commit", "--quiet", "--allow-empty", "-m", "More")
    assert pushed(forge, work, "mine:auto/a") == ""
    forge.git("elf-devops", work, "commit", "--quiet", "--amend", "--allow-empty", "-m", "Other")
    assert "Cannot force-push" in pushed(forge, work, "+mine:auto/a")


@pytest.mark.rows("F99")
def test_planted_hole_when_the_hook_is_not_told_of_the_rulesets_the_push_goes_through(
    forge: Forge, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(forge, EVERY, "refs/heads/auto/**/*")
    monkeypatch.setattr(smart_http, "closed_refs", lambda *_: {})  # pyright: ignore[reportUnknownLambdaType]
    assert pushed(forge, work, "mine:auto/a") == ""


@pytest.mark.rows("F99", "F106")
def test_no_ruleset_and_no_bypass_opens_main(forge: Forge, work: Path) -> None:
    actors = [
        {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"},
        {"actor_id": number_of("elf-devops"), "actor_type": "Integration", "bypass_mode": "always"},
    ]
    give(forge, [{"type": "deletion"}], "~ALL", bypass_actors=actors)
    for login in ("owner", "elf-devops"):
        assert "nobody pushes to main" in pushed(forge, work, "mine:main", login)
        assert forge.api(login, "DELETE", "git/refs/heads/main").status_code == 422


def test_a_rule_that_nobody_would_keep_is_refused(forge: Forge) -> None:
    for rule in ({"type": "required_signatures"}, {"type": "workflows", "parameters": {}}, {"type": "pull_request"}):
        body = {"name": "x", "enforcement": "active", "rules": [rule]}
        answer = forge.api("owner", "POST", "rulesets", body)
        assert (answer.status_code, "Invalid rule" in answer.text) == (422, True)


def test_a_ruleset_that_is_off_closes_nothing(forge: Forge, work: Path) -> None:
    give(forge, EVERY, "~ALL", enforcement="disabled")
    assert pushed(forge, work, "mine:auto/a") == ""


# ---------------------------------------------------------------- merges

ONE_APPROVAL = {"type": "pull_request", "parameters": {"required_approving_review_count": 1}}


def gate_rule(login: str) -> dict[str, Any]:
    check = {"context": "elf/gate", "integration_id": number_of(login)}
    return {"type": "required_status_checks", "parameters": {"required_status_checks": [check]}}


@pytest.mark.rows("F106")
def test_the_merge_desk_is_held_to_the_rulesets_too(forge: Forge) -> None:
    give(forge, [ONE_APPROVAL, gate_rule("elf-gate")], "~DEFAULT_BRANCH")
    change, gate = forge.changes("elf-devops").propose(proposal_of()), forge.changes("elf-gate")
    before = forge.repository.resolve("main")
    with pytest.raises(NotAllowed, match="At least 1 approving review is required") as caught:
        gate.merge(change.number, change.head, "Merge")
    assert caught.value.next_step == "ask_a_person"
    forge.changes("owner").approve(change.number, change.head)
    with pytest.raises(NotAllowed, match='Required status check "elf/gate" is expected'):
        gate.merge(change.number, change.head, "Merge")
    assert forge.repository.resolve("main") == before
    gate.publish_status(change.head, "elf/gate", "success", "")
    assert gate.merge(change.number, change.head, "Merge") == forge.repository.resolve("main")


@pytest.mark.rows("F106")
def test_planted_hole_without_asking_the_rulesets_it_merges_unapproved(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(forge, [ONE_APPROVAL], "~DEFAULT_BRANCH")
    change = forge.changes("elf-devops").propose(proposal_of())
    monkeypatch.setattr(pulls, "rule_violations", lambda *_: [])  # pyright: ignore[reportUnknownLambdaType]
    gate = forge.changes("elf-gate")
    assert gate.merge(change.number, change.head, "Merge") == forge.repository.resolve("main")


def test_an_approval_taken_back_or_overtaken_by_asked_changes_is_none(forge: Forge) -> None:
    give(forge, [ONE_APPROVAL], "~DEFAULT_BRANCH")
    change = forge.changes("elf-devops").propose(proposal_of())
    forge.changes("owner").approve(change.number, change.head)
    asked = {"event": "REQUEST_CHANGES", "body": "On second thoughts"}
    forge.api("owner", "POST", "pulls/1/reviews", asked)
    assert forge.api("elf-gate", "PUT", "pulls/1/merge", {"sha": change.head}).status_code == 405


ME, PERSON_ME = Identity("elf-devops", "", PROPOSER), Identity("owner", "", PERSON)


@pytest.mark.parametrize(
    ("actor", "who", "merging", "held"),
    [
        ({"actor_type": "RepositoryRole", "actor_id": 5}, PERSON_ME, False, False),
        ({"actor_type": "RepositoryRole", "actor_id": 5}, ME, False, True),
        ({"actor_type": "Integration", "actor_id": number_of("elf-devops")}, ME, False, False),
        ({"actor_type": "Integration", "actor_id": number_of("owner")}, PERSON_ME, False, True),
        ({"actor_type": "User", "actor_id": number_of("owner")}, PERSON_ME, True, False),
        ({"actor_type": "User", "actor_id": number_of("owner"), "bypass_mode": "pull_request"}, PERSON_ME, False, True),
        ({"actor_type": "User", "actor_id": number_of("owner"), "bypass_mode": "pull_request"}, PERSON_ME, True, False),
        ({"actor_type": "Team", "actor_id": 1}, PERSON_ME, True, True),
    ],
)
def test_who_bypasses_a_ruleset(actor: dict[str, Any], who: Identity, merging: bool, held: bool) -> None:
    rules = {"update": {}, "required_linear_history": {}}
    ruleset = Ruleset(1, "x", "active", (actor,), ("~ALL",), (), rules)
    if merging:
        found = merge_violations([ruleset], who, "refs/heads/main", "merge", MergeFacts(0, 0, frozenset()))
    else:
        found = closed_refs([ruleset], who)["update"]
    assert bool(found) is held


# ---------------------------------------------------------------- squashing, cut short


def test_a_squash_cut_short_after_main_moved_is_recognised_and_not_done_twice(
    forge: Forge, proposal: Callable[..., Proposal]
) -> None:
    change = forge.changes("elf-devops").propose(proposal())
    wanted = {"sha": change.head, "merge_method": "squash"}
    merged = forge.api("elf-gate", "PUT", f"pulls/{change.number}/merge", wanted).json()["sha"]
    forge.repository.update_refs([RefUpdate(f"refs/pull/{change.number}/merged", None, merged)])
    after = forge.changes("owner").get(change.number)
    assert (after.state, after.merge_commit, after.head) == ("merged", merged, change.head)
    assert forge.api("elf-gate", "PUT", f"pulls/{change.number}/merge", wanted).status_code == 405
    assert forge.repository.resolve("main") == merged


def test_a_squash_that_never_reached_main_is_open_still(forge: Forge, proposal: Callable[..., Proposal]) -> None:
    change = forge.changes("elf-devops").propose(proposal())
    forge.repository.update_refs([RefUpdate(f"refs/pull/{change.number}/merging", change.head, None)])
    assert forge.changes("owner").get(change.number).state == "open"


def test_an_approval_stays_dismissed_when_the_branch_comes_back(forge: Forge, work: Path) -> None:
    assert pushed(forge, work, "mine:auto/a") == ""
    forge.api("elf-devops", "POST", "pulls", {"title": "T", "head": "auto/a", "base": "main"})
    head = forge.repository.resolve("auto/a")
    forge.api("owner", "POST", "pulls/1/reviews", {"event": "APPROVE", "commit_id": head})
    at = "git/refs/heads/auto/a"
    for sha in (forge.repository.resolve("main"), head):
        assert forge.api("elf-devops", "PATCH", at, {"sha": sha, "force": True}).status_code == 200
    assert [it["state"] for it in forge.api("owner", "GET", "pulls/1/reviews").json()] == ["DISMISSED"]
