"""Writing a real repository: only safe paths, refs by compare-and-swap, the same bytes give the same hash."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mcp_servers.git.command import run_git
from mcp_servers.git.objects import ANY, RefMoved, RefUpdate, Signature, UnsafePath
from mcp_servers.git.repository import Repository

WHEN = datetime(2026, 11, 20, tzinfo=UTC)
WHO = Signature("elf-devops", "elf-devops@elf.local")
MAIN = "refs/heads/main"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    run_git(tmp_path / "r.git", ["init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "r.git")])
    return Repository(tmp_path / "r.git")


def made(repository: Repository, text: bytes, *parents: str) -> str:
    tree = repository.write_tree(parents[0] if parents else None, {"a.txt": text})
    return repository.commit_tree(tree, list(parents), "message\n", WHO, WHEN)


def test_the_same_commit_made_twice_has_one_hash(repository: Repository) -> None:
    assert made(repository, b"x") == made(repository, b"x") != made(repository, b"y")


def test_bytes_are_stored_as_they_are(repository: Repository) -> None:
    data = b"\r\n\x00\xff $Id$\r\n"
    tree = repository.write_tree(None, {".gitattributes": b"* text=auto eol=lf ident\n", "a.bin": data})
    assert repository.read(repository.commit_tree(tree, [], "m", WHO, WHEN), "a.bin") == data


def test_a_file_of_none_is_removed_and_a_missing_one_is_no_error(repository: Repository) -> None:
    first = made(repository, b"x")
    tree = repository.write_tree(first, {"a.txt": None, "never.txt": None, "b.txt": b"b"})
    assert [entry.path for entry in repository.listing(repository.commit_tree(tree, [first], "m", WHO, WHEN))] == [
        "b.txt"
    ]


@pytest.mark.rows("F08")
@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a//b",
        "a/./b",
        ".git/config",
        "a/.GIT/hooks/x",
        "a b",
        "a\nb",
        "p\u0430y",
        "",
        "a\\b",
        "a/",
    ],
)
def test_an_odd_path_cannot_be_written(repository: Repository, path: str) -> None:
    with pytest.raises(UnsafePath, match="not allowed"):
        repository.write_tree(None, {path: b"x"})


@pytest.mark.parametrize("mode", ["120000", "160000", "040000", "100600", "100664", ""])
def test_links_submodules_and_odd_modes_cannot_be_written(repository: Repository, mode: str) -> None:
    with pytest.raises(UnsafePath, match="no links or submodules"):
        repository.write_tree(None, {"a.txt": b"/etc/passwd"}, {"a.txt": mode})


def test_a_ref_moves_only_from_where_it_was_expected(repository: Repository) -> None:
    first, second = made(repository, b"1"), made(repository, b"2")
    repository.update_ref(MAIN, first, None)
    with pytest.raises(RefMoved, match="expected at nothing"):
        repository.update_ref(MAIN, second, None)
    with pytest.raises(RefMoved):
        repository.update_ref(MAIN, second, second)
    repository.update_ref(MAIN, second, first)
    assert repository.resolve("main") == second
    with pytest.raises(RefMoved):
        repository.update_ref(MAIN, None, first)
    repository.update_ref(MAIN, None, second)
    assert repository.refs() == {}


def test_several_refs_move_together_or_not_at_all(repository: Repository) -> None:
    first, second = made(repository, b"1"), made(repository, b"2")
    repository.update_refs([RefUpdate(MAIN, first, None), RefUpdate("refs/heads/auto/x", second, ANY)])
    with pytest.raises(RefMoved) as caught:
        repository.update_refs([RefUpdate(MAIN, second, first), RefUpdate("refs/heads/auto/x", first, first)])
    assert caught.value.ref == "refs/heads/auto/x"
    assert repository.resolve("main") == first


def test_of_many_who_move_a_ref_at_once_exactly_one_wins(repository: Repository) -> None:
    first = made(repository, b"1")
    repository.update_ref(MAIN, first, None)
    rivals = [made(repository, f"rival {index}".encode(), first) for index in range(8)]

    def move(sha: str) -> bool:
        try:
            repository.update_ref(MAIN, sha, first)
        except RefMoved:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(move, rivals)) == 1
    assert repository.resolve("main") in rivals


def test_the_reflog_names_who_moved_a_ref(repository: Repository) -> None:
    first, second = made(repository, b"1"), made(repository, b"2")
    repository.update_refs([RefUpdate(MAIN, first, None)], login="one")
    repository.update_refs([RefUpdate(MAIN, second, first)], login="two")
    assert repository.reflog_names(MAIN) == ["two", "one"]
    assert repository.reflog_names("refs/heads/none") == []


def test_nothing_of_the_users_git_configuration_is_used(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Someone\n[core]\n\tautocrlf = true\n[nonsense\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Someone")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    assert repository.log(made(repository, b"a\r\n"))[0].author == WHO
