"""Proposing: one commit of all files, once, whatever was cut short before, and never over somebody else's work."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_servers.git import github, proposals
from mcp_servers.git.changes import Change, Changes, ChangesError, HandsOff, NotAllowed, Proposal, Refused, Unavailable
from mcp_servers.git.github import Account, GitHubChanges
from mcp_servers.git.objects import ANY, RefUpdate, Signature
from tests.git.conftest import START, Forge

Propose = Callable[..., Proposal]
WHO = Signature("elf-devops", "elf-devops@elf.local")


@pytest.fixture
def devops(forge: Forge) -> Changes:
    return forge.changes("elf-devops")


def commit_on(forge: Forge, branch: str, who: Signature, file: str, parent: str = "main") -> str:
    tip = forge.repository.resolve(parent)
    tree = forge.repository.write_tree(tip, {file: b"x"})
    commit = forge.repository.commit_tree(tree, [tip], "by hand\n", who, START)
    forge.repository.update_refs([RefUpdate(f"refs/heads/{branch}", commit, ANY)], login="elf-devops")
    return commit


@pytest.mark.rows("F97", "F98", "F99")
def test_a_proposal_is_one_commit_by_devops_and_a_labelled_pull_request(
    forge: Forge, devops: Changes, proposal: Propose
) -> None:
    wanted = replace(
        proposal("x", **{"README.md": b"a\r\n\xff", "run.sh": b"#!/bin/sh\n"}), modes={"teams/x/run.sh": "100755"}
    )
    change = devops.propose(wanted)
    assert (change.title, change.body, change.branch, change.base) == (wanted.title, wanted.body, wanted.branch, "main")
    assert (change.state, change.author, change.labels) == ("open", "elf-devops", wanted.labels)
    (commit,) = forge.repository.log(change.head, without="main")
    assert (commit.author, commit.committer, commit.message) == (WHO, WHO, wanted.message)
    files = {(entry.path, entry.mode) for entry in forge.repository.listing(change.head, "teams/x")}
    assert files == {("teams/x/README.md", "100644"), ("teams/x/run.sh", "100755")}
    assert forge.repository.read(change.head, "teams/x/README.md") == b"a\r\n\xff"
    assert devops.get(change.number) == change


def test_files_can_be_removed(forge: Forge, devops: Changes, proposal: Propose) -> None:
    change = devops.propose(replace(proposal(), files={"README.md": None}))
    assert [(item.status, item.path) for item in forge.repository.changes("main", change.head)] == [("D", "README.md")]


def test_the_same_proposal_twice_is_one_change_with_one_commit(
    forge: Forge, devops: Changes, proposal: Propose
) -> None:
    first = devops.propose(proposal())
    assert devops.propose(proposal()) == first
    assert len(devops.all()) == 1


def test_it_is_adopted_even_if_main_moved_meanwhile(forge: Forge, devops: Changes, proposal: Propose) -> None:
    first = devops.propose(proposal())
    commit_on(forge, "main", WHO, "other.txt")
    assert devops.propose(proposal()) == first


def test_a_kill_after_the_push_leaves_a_branch_that_is_adopted(
    forge: Forge, devops: Changes, proposal: Propose, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(GitHubChanges, "_create", killed)
        with pytest.raises(KeyboardInterrupt):
            devops.propose(proposal())
    head = forge.repository.resolve(proposal().branch)
    assert devops.propose(proposal()).head == head


def test_a_kill_before_the_labels_leaves_a_change_that_is_completed(
    forge: Forge, devops: Changes, proposal: Propose, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(github, "_labelled", killed)
        with pytest.raises(KeyboardInterrupt):
            devops.propose(proposal())
    assert devops.open()[0].labels == ()
    assert devops.propose(proposal()).labels == proposal().labels
    assert len(devops.open()) == 1


def test_a_new_version_replaces_the_commit_and_the_words(forge: Forge, devops: Changes, proposal: Propose) -> None:
    first = devops.propose(proposal())
    forge.changes("owner").approve(first.number, first.head)
    second = devops.propose(replace(proposal("marketing", **{"README.md": b"# Better\n"}), title="Better"))
    assert (second.number, second.title) == (first.number, "Better")
    assert second.head != first.head
    assert len(forge.repository.log(second.head, without="main")) == 1
    assert [review.verdict for review in devops.reviews(first.number)] == ["dismissed"]


@pytest.mark.parametrize("ending", ["merged", "closed"])
def test_a_proposal_that_came_to_its_end_is_not_made_again(
    forge: Forge, devops: Changes, proposal: Propose, ending: str
) -> None:
    change = devops.propose(proposal())
    gate = forge.changes("elf-gate")
    if ending == "merged":
        gate.merge(change.number, change.head, "Merge")
    else:
        gate.reject(change.number, "no")
    forge.api("elf-gate", "DELETE", f"git/refs/heads/{change.branch}")
    again = devops.propose(proposal())
    assert (again.number, again.state, again.head) == (change.number, ending, change.head)
    assert f"refs/heads/{change.branch}" not in forge.repository.refs()


def test_the_same_proposal_made_by_many_at_once_is_one_change(forge: Forge, proposal: Propose) -> None:
    def propose(changes: Changes) -> Change:
        return changes.propose(proposal())

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(propose, [forge.changes("elf-devops") for _ in range(4)]))
    assert len({(change.number, change.head) for change in made}) == 1
    assert len(forge.changes("owner").all()) == 1


# ---------------------------------------------------------------- refusals


def test_a_branch_with_somebody_elses_commit_is_left_alone(forge: Forge, devops: Changes, proposal: Propose) -> None:
    devops.propose(proposal())
    stranger = Signature("owner", "owner@elf.local")
    head = commit_on(forge, proposal().branch, stranger, "mine.txt", proposal().branch)
    with pytest.raises(HandsOff, match="has a commit by owner") as caught:
        devops.propose(proposal("marketing", **{"README.md": b"# Other\n"}))
    assert caught.value.next_step == "ask_a_person"
    assert forge.repository.resolve(proposal().branch) == head


def test_planted_hole_without_looking_who_wrote_it_their_commit_is_lost(
    forge: Forge, devops: Changes, proposal: Propose, monkeypatch: pytest.MonkeyPatch
) -> None:
    devops.propose(proposal())
    head = commit_on(forge, proposal().branch, Signature("owner", "o@elf.local"), "mine.txt", proposal().branch)
    monkeypatch.setattr(proposals, "_holds", lambda *_: False)  # pyright: ignore[reportUnknownLambdaType]
    devops.propose(proposal("marketing", **{"README.md": b"# Other\n"}))
    assert not forge.repository.is_ancestor(head, proposal().branch)


def test_an_odd_path_is_refused_and_leaves_nothing(forge: Forge, devops: Changes, proposal: Propose) -> None:
    before = forge.repository.refs("refs/")
    for path in ("../x", ".git/hooks/x", "a b", "/etc/x", "x\n"):
        with pytest.raises(Refused, match="not allowed"):
            devops.propose(replace(proposal(), files={path: b"x"}))
    assert forge.repository.refs("refs/") == before


def test_a_symlink_cannot_be_proposed(devops: Changes, proposal: Propose) -> None:
    with pytest.raises(Refused, match="no links"):
        devops.propose(replace(proposal(), modes={"teams/marketing/README.md": "120000"}))


def test_a_proposal_that_changes_nothing_is_refused(devops: Changes, proposal: Propose) -> None:
    with pytest.raises(Refused, match="would change nothing"):
        devops.propose(replace(proposal(), files={"README.md": b"# A company\n"}))


@pytest.mark.rows("F99", "F106")
@pytest.mark.parametrize("branch", ["main", "release", "autox/y"])
def test_a_proposal_outside_auto_is_refused_with_the_servers_sentence(
    forge: Forge, devops: Changes, proposal: Propose, branch: str
) -> None:
    before = forge.repository.refs("refs/")
    with pytest.raises((NotAllowed, HandsOff), match=r"Refused:|has a commit by"):
        devops.propose(replace(proposal(), branch=branch))
    assert forge.repository.refs("refs/") == before


def test_an_identity_without_the_right_cannot_propose(forge: Forge, proposal: Propose) -> None:
    with pytest.raises(NotAllowed):
        forge.changes("elf-gate").propose(proposal())
    assert list(forge.repository.refs("refs/")) == ["refs/heads/main"]


def test_an_unknown_base_is_an_error_that_names_it(devops: Changes, proposal: Propose) -> None:
    with pytest.raises(ChangesError, match="nowhere"):
        devops.propose(replace(proposal(), base="nowhere"))


def test_a_forge_that_is_down_is_unavailable(proposal: Propose, tmp_path: Path) -> None:
    account = Account(
        "http://127.0.0.1:9/forge/api/v3", "http://127.0.0.1:9/x.git", "elf/company", "elf-devops", "secret"
    )
    with pytest.raises(Unavailable, match="later"):
        GitHubChanges(account, lambda: START).propose(proposal())
    remote = proposals.Remote(account.git_url, "secret", WHO)
    with pytest.raises(Unavailable, match="try again later"):
        proposals.push_proposal(remote, proposal(), None, START)


# ---------------------------------------------------------------- the token


@pytest.mark.rows("F76")
def test_the_token_is_in_no_argument_file_or_log(
    forge: Forge, proposal: Propose, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Looks at every process started and at every file of the throw-away repository while the push runs."""
    secret = forge.token("elf-devops")
    seen: list[str] = []
    popen_init = subprocess.Popen.__init__

    def spied(self: Any, *args: Any, **kwargs: Any) -> None:
        seen.append(repr(args[0] if args else kwargs.get("args")))
        popen_init(self, *args, **kwargs)

    honest_push = proposals._push  # pyright: ignore[reportPrivateUsage] - to look at the repository at that moment

    def push_and_look(git: Any, *args: Any) -> None:
        seen.extend(
            path.read_bytes().decode("latin-1") for path in Path(str(git.working_dir)).rglob("*") if path.is_file()
        )
        honest_push(git, *args)

    monkeypatch.setattr(subprocess.Popen, "__init__", spied)
    monkeypatch.setattr(proposals, "_push", push_and_look)
    changes = forge.changes("elf-devops")
    with caplog.at_level(logging.DEBUG):
        changes.propose(proposal())
    encoded = proposals._environment(proposals.Remote(forge.git_url, secret, WHO), Path("/x"))  # pyright: ignore[reportPrivateUsage]
    basic = next(value.split()[-1] for value in encoded.values() if value.startswith("Authorization: Basic "))
    everything = "\n".join([*seen, caplog.text, repr(changes.account), repr(vars(changes))])
    assert any("push" in text for text in seen)
    assert secret not in everything
    assert basic not in everything


@pytest.mark.rows("F76")
def test_the_token_is_in_no_error(forge: Forge, proposal: Propose, tmp_path: Path) -> None:
    secret = forge.token("elf-gate")
    with pytest.raises(NotAllowed) as caught:
        forge.changes("elf-gate").propose(proposal())
    error: BaseException | None = caught.value
    while error is not None:
        assert secret not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__


def test_nothing_is_left_in_the_temporary_folder(
    forge: Forge, devops: Changes, proposal: Propose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    devops.propose(proposal())
    with pytest.raises(Refused):
        devops.propose(replace(proposal(), branch="auto/other", files={"README.md": b"# A company\n"}))
    assert list(scratch.iterdir()) == []
