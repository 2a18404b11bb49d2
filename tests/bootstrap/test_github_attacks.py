"""Attacks on a company at GitHub, each seen to fail; and to succeed where the control it meets is switched off."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from bootstrap import github_connect
from bootstrap.places import connection_of
from mcp_servers.git import github_setup
from mcp_servers.git.changes import NotAllowed, Proposal
from mcp_servers.git.github import GitHubChanges
from tests.bootstrap.github_world import GATE_BOT, GitHubWorld, github_world
from tests.doubles.github import REPO, an_app

pytestmark = pytest.mark.rows("F99", "F106")
PROPOSAL = Proposal("auto/x/one", "Something", "Words.", (), {"teams/x.md": b"x\n"}, "x\n")


@pytest.fixture
def world(tmp_path: Path) -> Generator[GitHubWorld]:
    with github_world(tmp_path) as made:
        yield made


def proposer_of(world: GitHubWorld) -> GitHubChanges:
    connection = connection_of(world.home)
    assert connection is not None
    return GitHubChanges(connection.proposer_account(world.home, world.clock), world.clock)


def test_the_proposer_cannot_say_the_gates_yes(world: GitHubWorld) -> None:
    world.connect()
    proposer = proposer_of(world)
    change = proposer.propose(PROPOSAL)
    with pytest.raises(NotAllowed):
        proposer.publish_status(change.head, "elf/gate", "success", "trust me")
    with pytest.raises(NotAllowed):
        proposer.merge(change.number, change.head, "x")
    proposer.close()


def test_planted_hole_one_identity_for_both_hands_says_its_own_yes(
    world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_given: Any) -> list[str]:
        return []

    monkeypatch.setattr(github_connect, "clashes", none)
    assert world.connect(proposer_token=world.gate.token)["done"]
    proposer = proposer_of(world)
    head = world.github.repository.resolve("main")
    proposer.publish_status(head, "elf/gate", "success", "trust me")
    assert [status.creator for status in proposer.statuses(head)] == [GATE_BOT]
    proposer.close()
    # And doctor says so, for whoever came to it by another way.
    assert any("who proposes can say yes" in text for text in world.wrong())


def intruded(tmp_path: Path) -> Generator[tuple[GitHubWorld, GitHubChanges, str]]:
    """A company of Apps, an approved change, and another App that may write statuses and merge."""
    with github_world(tmp_path, apps=True) as world:
        other = an_app("intruder[bot]", "gate")
        world.github.people[other.login] = other
        world.connect()
        connection = connection_of(world.home)
        assert connection is not None and other.key
        theirs = replace(connection.gate, login=other.login, app_id=other.app_id)
        account = connection.account(theirs, other.app_id + 1, other.key, world.clock)
        proposer = proposer_of(world)
        change = proposer.propose(PROPOSAL)
        world.ask("POST", f"pulls/{change.number}/reviews", {"event": "APPROVE", "commit_id": change.head})
        intruder = GitHubChanges(account, world.clock)
        intruder.publish_status(change.head, "elf/gate", "success", "trust me")
        yield world, intruder, change.head
        intruder.close()
        proposer.close()


@pytest.fixture
def intrusion(tmp_path: Path) -> Generator[tuple[GitHubWorld, GitHubChanges, str]]:
    yield from intruded(tmp_path)


def test_another_apps_yes_under_the_gates_name_merges_nothing(
    intrusion: tuple[GitHubWorld, GitHubChanges, str],
) -> None:
    world, intruder, head = intrusion
    with pytest.raises(NotAllowed, match="elf/gate"):
        intruder.merge(1, head, "in")
    assert intruder.get(1).state == "open"
    assert world.wrong() == []


def test_planted_hole_without_the_pin_another_apps_yes_merges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rulesets = github_setup.rulesets

    def unpinned(wanted: github_setup.Wanted) -> Any:
        made = rulesets(wanted)
        for rule in made[0]["rules"]:
            for check in rule.get("parameters", {}).get("required_status_checks", []):
                check.pop("integration_id", None)
        return made

    monkeypatch.setattr(github_setup, "rulesets", unpinned)
    for world, intruder, head in intruded(tmp_path):
        assert intruder.merge(1, head, "in")
        monkeypatch.setattr(github_setup, "rulesets", rulesets)
        assert any("not pinned to the gate" in text for text in world.wrong())


@pytest.mark.parametrize("branch", ["main", "release", "auto-not", "feature/x"])
def test_the_proposer_cannot_make_or_move_what_is_not_below_auto(world: GitHubWorld, branch: str) -> None:
    world.connect()
    main = world.github.repository.resolve("main")
    body = {"ref": f"refs/heads/{branch}", "sha": main}
    answer = httpx.post(
        f"{world.github.api_url}/repos/{REPO}/git/refs",
        json=body,
        headers={"Authorization": f"token {world.bot.token}"},
        trust_env=False,
    )
    assert answer.status_code in {403, 422}, answer.text
    assert world.github.repository.refs("refs/heads/") == {"refs/heads/main": main}


def test_writes_to_github_keep_its_pace(world: GitHubWorld) -> None:
    world.connect()
    connection = connection_of(world.home)
    assert connection is not None
    assert connection.gate_account(world.home, world.clock).writes_a_minute == 80
    assert connection.proposer_account(world.home, world.clock).writes_a_minute == 80
