"""A merge keeps every commit of a branch for ever: each is looked through before, and an agent's hold nothing but the change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_servers.git import facts as reading
from mcp_servers.git import history
from mcp_servers.git.command import run_git
from mcp_servers.git.history import MOST_COMMITS, History
from mcp_servers.git.merge_desk import Merged, NotYet
from mcp_servers.git.objects import Signature
from memory.session import Database
from policies.verdict import Outcome, Verdict
from tests.git.desk_world import OWN_SECRET, OWNER, WHO, Server, World, running_world, seeded, team_files

pytestmark = pytest.mark.rows("F76", "F106")

BRANCH = "auto/change-team/old-team-0a1b2c3d"
FOLDER = "teams/old_team"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "forge"
    seeded(root, team_files("old-team"))
    return root


@pytest.fixture
def world(tmp_path: Path, server: Server, sqlite: Database, template: Path) -> Iterator[World]:
    with running_world(tmp_path, server, sqlite, template) as made:
        yield made


def edited() -> dict[str, bytes | None]:
    """What the factory makes of the team with another purpose: a change that a person may approve."""
    return dict(team_files("old-team", purpose="Write less, and better"))


def on_main(world: World, files: Mapping[str, bytes | None], message: str = "By hand\n", who: Signature = WHO) -> str:
    """A commit whose tree is main's with the files, on top of the branch: what the branch held before is gone from its tree."""
    ref = f"refs/heads/{BRANCH}"
    old = world.repository.refs(ref).get(ref)
    tree = world.repository.write_tree("main", files)
    commit = world.repository.commit_tree(tree, [old or world.main()], message, who, world.clock.at)
    world.repository.update_ref(ref, commit, old)
    return commit


def opened(world: World, login: str = "elf-devops", body: str = "Because.") -> int:
    """A pull request of the branch, by plain REST."""
    answer = httpx.post(
        f"{world.url}/api/v3/repos/elf/company/pulls",
        headers={"Authorization": f"Bearer token-of-{login}"},
        json={"title": "Change team old-team", "head": BRANCH, "base": "main", "body": body},
    )
    assert answer.status_code == 201, answer.text
    return int(answer.json()["number"])


def decided(world: World, number: int) -> Merged | Verdict:
    """What comes of a person's approval."""
    result = world.desk.approve(number, OWNER, world.head(number))
    if isinstance(result, Merged):
        return result
    assert isinstance(result, NotYet)
    return result.verdict


def refused(verdict: Merged | Verdict) -> dict[str, str]:
    assert isinstance(verdict, Verdict), "it was merged"
    return {child.rule: child.reason for child in verdict.children if child.outcome is Outcome.DENY}


def all_of_main(world: World) -> bytes:
    """Every object that a clone of main gets, one after the other."""
    names = run_git(world.repository.git_dir, ["rev-list", "--objects", "main"])[1].split(b"\n")
    asked = b"".join(name[:40] + b"\n" for name in names if name)
    return run_git(world.repository.git_dir, ["cat-file", "--batch"], stdin=asked)[1]


def test_several_clean_commits_of_one_change_are_merged(world: World) -> None:
    world.commit_to(BRANCH, {f"{FOLDER}/README.md": b"# A first try\n", f"{FOLDER}/draft.md": b"to go\n"})
    on_main(world, edited())
    assert isinstance(decided(world, opened(world)), Merged)


def test_a_key_and_a_law_that_only_an_earlier_commit_holds_are_found(world: World) -> None:
    key = f"token: {OWN_SECRET}\n".encode()
    world.commit_to(BRANCH, {f"{FOLDER}/notes.txt": key, "policies/limits.yaml": b"new_teams: {}\n"})
    on_main(world, edited())
    reasons = refused(decided(world, opened(world)))
    assert set(reasons) == {"history", "secrets"}
    assert "policies/limits.yaml" in reasons["history"]
    assert f"{FOLDER}/notes.txt in commit" in reasons["secrets"] and "key of the test" in reasons["secrets"]
    assert OWN_SECRET.encode() not in all_of_main(world)


def test_without_a_look_at_the_commits_that_key_would_be_in_main(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hole, planted."""

    def nothing(*_anything: object) -> History:
        return History()

    monkeypatch.setattr(reading, "read_history", nothing)
    key = f"token: {OWN_SECRET}\n".encode()
    world.commit_to(BRANCH, {f"{FOLDER}/notes.txt": key, "policies/limits.yaml": b"new_teams: {}\n"})
    on_main(world, edited())
    assert isinstance(decided(world, opened(world)), Merged)
    assert OWN_SECRET.encode() in all_of_main(world)


def test_a_path_that_only_an_earlier_commit_takes_away_counts_as_touched(world: World) -> None:
    world.commit_to(BRANCH, {"policies/limits.yaml": None})
    on_main(world, edited())
    assert "policies/limits.yaml" in refused(decided(world, opened(world)))["history"]


def test_a_large_file_that_only_an_earlier_commit_holds_is_weighed(world: World) -> None:
    world.commit_to(BRANCH, {f"{FOLDER}/film.bin": b"\1\2\3\4" * 1_000_000})
    on_main(world, edited())
    reasons = refused(decided(world, opened(world)))
    assert f"{FOLDER}/film.bin" in reasons["sizes"]
    assert "4000000 bytes" in reasons["text"]


def test_a_persons_branch_is_looked_through_too_and_may_touch_what_it_likes_on_the_way(world: World) -> None:
    world.commit_to(BRANCH, {"docs/plan.md": b"A plan.\n"})
    on_main(world, {"README.md": b"# Another title\n"})
    number = opened(world, "owner")
    assert world.desk.judge(number).outcome is Outcome.NEEDS_APPROVAL
    world.commit_to(BRANCH, {"docs/plan.md": OWN_SECRET.encode()})
    on_main(world, {"README.md": b"# A third title\n"})
    assert "docs/plan.md in commit" in refused(world.desk.judge(number))["secrets"]


@pytest.mark.parametrize("where", ["message", "name", "email"])
def test_what_a_commit_says_of_itself_is_looked_through(world: World, where: str) -> None:
    who = {
        "message": WHO,
        "name": Signature(f"me {OWN_SECRET}", "me@elf.local"),
        "email": Signature("me", f"{OWN_SECRET}@elf.local"),
    }[where]
    on_main(world, edited(), f"Change it\n\n{OWN_SECRET if where == 'message' else ''}\n", who)
    reasons = refused(decided(world, opened(world)))
    assert set(reasons) == {"secrets"} and reasons["secrets"].startswith("commit ")


def test_a_header_of_a_commit_that_no_log_shows_is_looked_through(world: World) -> None:
    commit = on_main(world, edited())
    raw = run_git(world.repository.git_dir, ["cat-file", "commit", commit])[1]
    odd = raw.replace(b"\n\n", b"\nx-note " + OWN_SECRET.encode() + b"\n\n", 1)
    written = run_git(world.repository.git_dir, ["hash-object", "-t", "commit", "-w", "--stdin"], stdin=odd)[1]
    world.repository.update_ref(f"refs/heads/{BRANCH}", written.decode().strip(), commit)
    assert "secrets" in refused(decided(world, opened(world)))


def test_a_key_in_the_name_of_a_file_of_an_earlier_commit_is_found(world: World) -> None:
    """The file's bytes are main's: only its name is new."""
    world.commit_to(BRANCH, {f"{FOLDER}/AKIA{'Z7Q3' * 4}.md": b"# A company\n"})
    on_main(world, edited())
    assert "a path in commit" in refused(decided(world, opened(world)))["secrets"]


def test_more_commits_than_are_looked_through_are_refused_with_the_reason(world: World) -> None:
    tree, parent = world.repository.write_tree("main", edited()), world.main()
    for count in range(MOST_COMMITS + 1):
        parent = world.repository.commit_tree(tree, [parent], f"Step {count}\n", WHO, world.clock.at)
    world.repository.update_ref(f"refs/heads/{BRANCH}", parent, None)
    number = opened(world)
    assert f"more than {MOST_COMMITS} commits" in refused(decided(world, number))["history"]


@pytest.mark.parametrize(("bound", "said"), [("MOST_OBJECTS", "files and folders"), ("MOST_PASSING", "does not leave")])
def test_every_bound_of_the_look_is_a_no(world: World, monkeypatch: pytest.MonkeyPatch, bound: str, said: str) -> None:
    monkeypatch.setattr(history, bound, 0)
    world.commit_to(BRANCH, {f"{FOLDER}/draft.md": b"to go\n"})
    on_main(world, edited())
    assert said in refused(decided(world, opened(world)))["history"]


def test_a_merge_of_main_into_the_branch_adds_nothing_of_its_own(world: World) -> None:
    """What GitHub's button "Update branch" makes."""
    first = world.commit_to(BRANCH, edited())
    tree = world.repository.write_tree("main", {"README.md": b"# Moved on\n"})
    moved = world.repository.commit_tree(tree, [world.main()], "Main moves\n", WHO, world.clock.at)
    world.repository.update_ref("refs/heads/main", moved, world.main())
    both = world.repository.merge_tree(moved, first)
    assert isinstance(both, str)
    merged = world.repository.commit_tree(both, [first, moved], "Merge main\n", WHO, world.clock.at)
    world.repository.update_ref(f"refs/heads/{BRANCH}", merged, first)
    assert isinstance(decided(world, opened(world)), Merged)


def test_what_a_merge_itself_brings_in_is_looked_through(world: World) -> None:
    first = world.commit_to(BRANCH, edited())
    tree = world.repository.write_tree(first, {f"{FOLDER}/notes.txt": OWN_SECRET.encode()})
    other = world.repository.commit_tree(
        world.repository.write_tree("main", {}), [world.main()], "Else\n", WHO, world.clock.at
    )
    merged = world.repository.commit_tree(tree, [first, other], "Merge\n", WHO, world.clock.at)
    world.repository.update_ref(f"refs/heads/{BRANCH}", merged, first)
    on_main(world, edited())
    assert "notes.txt in commit" in refused(decided(world, opened(world)))["secrets"]


def test_a_link_in_an_earlier_commit_is_refused_from_everybody(world: World) -> None:
    blob = run_git(world.repository.git_dir, ["hash-object", "-w", "--stdin"], stdin=b"/etc/passwd")[1].decode().strip()
    listed = run_git(world.repository.git_dir, ["ls-tree", "main"])[1]
    tree = run_git(world.repository.git_dir, ["mktree"], stdin=listed + f"120000 blob {blob}\tlink\n".encode())[1]
    commit = world.repository.commit_tree(tree.decode().strip(), [world.main()], "A link\n", WHO, world.clock.at)
    world.repository.update_ref(f"refs/heads/{BRANCH}", commit, None)
    on_main(world, {"README.md": b"# Another title\n"})
    assert "link" in refused(world.desk.judge(opened(world, "owner")))["history"]


@pytest.mark.rows("F107")
@pytest.mark.parametrize(
    ("new", "beside"), [("readme.md", "README.md"), ("Docs/x.md", "docs"), ("TEAMS/x.md", "teams")]
)
def test_a_path_beside_one_of_mains_that_differs_in_case_alone_is_refused(world: World, new: str, beside: str) -> None:
    if beside == "docs":
        first: Any = {"docs/plan.md": b"A plan.\n", new: b"x\n"}
    else:
        first = {new: b"x\n"}
    on_main(world, first)
    reasons = refused(world.desk.judge(opened(world, "owner")))
    assert f"{new} beside {beside}" in reasons["paths"]
