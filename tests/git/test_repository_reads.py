"""Reading a real repository: what the gate will judge must come back as it is, however odd."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mcp_servers.git.command import GitTimeout, run_git
from mcp_servers.git.objects import Conflict, NoMergeBase, Signature, UnknownRevision, UnsafePath
from mcp_servers.git.repository import Repository

WHEN = datetime(2026, 11, 20, tzinfo=UTC)
WHO = Signature("owner", "owner@elf.local")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Bare, with one commit on main: a.txt, teams/x/run.sh (executable)."""
    run_git(tmp_path / "r.git", ["init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "r.git")])
    made = Repository(tmp_path / "r.git")
    commit(
        made, "main", None, {"a.txt": b"one\n", "teams/x/run.sh": b"#!/bin/sh\n"}, modes={"teams/x/run.sh": "100755"}
    )
    return made


def commit(
    repository: Repository,
    branch: str,
    parent: str | None,
    files: dict[str, bytes | None],
    modes: dict[str, str] | None = None,
) -> str:
    base = repository.resolve(parent) if parent else None
    tree = repository.write_tree(base, files, modes)
    made = repository.commit_tree(tree, [base] if base else [], f"On {branch}\n", WHO, WHEN)
    old = repository.refs("refs/heads/").get(f"refs/heads/{branch}")
    repository.update_ref(f"refs/heads/{branch}", made, old)
    return made


def raw_tree(repository: Repository, *lines: str) -> str:
    """A tree made with mktree, which accepts what no file of the company may be."""
    done = subprocess.run(
        ["git", f"--git-dir={repository.git_dir}", "mktree", "-z", "--missing"],
        input="".join(f"{line}\0" for line in lines).encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


def odd_commit(repository: Repository, *lines: str) -> str:
    blob = raw_tree_blob(repository)
    tree = raw_tree(repository, *(line.replace("BLOB", blob) for line in lines))
    return repository.commit_tree(tree, [repository.resolve("main")], "odd\n", WHO, WHEN)


def raw_tree_blob(repository: Repository) -> str:
    out = run_git(repository.git_dir, ["hash-object", "-w", "--stdin"], stdin=b"/etc/passwd")[1]
    return out.decode().strip()


def test_a_branch_and_its_hash_resolve_to_the_same_commit(repository: Repository) -> None:
    assert (
        repository.resolve("main")
        == repository.resolve("refs/heads/main")
        == repository.resolve(repository.resolve("main"))
    )


@pytest.mark.parametrize(
    "name", ["nowhere", "--all", "main..x", "main^", ":/One", "main\nmain", "", "@{-1}", "a" * 300]
)
def test_what_is_not_the_plain_name_of_a_commit_is_unknown(repository: Repository, name: str) -> None:
    with pytest.raises(UnknownRevision):
        repository.resolve(name)


def test_files_are_read_one_by_one_or_together(repository: Repository) -> None:
    assert repository.read("main", "a.txt") == b"one\n"
    assert repository.read_many("main", ["teams/x/run.sh", "a.txt"]) == {
        "teams/x/run.sh": b"#!/bin/sh\n",
        "a.txt": b"one\n",
    }


@pytest.mark.parametrize("path", ["b.txt", "teams", "", "a.txt/", "../a.txt", "a.txt\nb.txt"])
def test_reading_what_is_not_a_file_names_the_path(repository: Repository, path: str) -> None:
    with pytest.raises(UnknownRevision, match="no"):
        repository.read("main", path)


def test_only_a_folder_has_a_tree(repository: Repository) -> None:
    assert repository.tree("main", "teams/x") is not None
    assert repository.tree("main", "a.txt") is None
    assert repository.tree("main", "nowhere") is None
    assert repository.tree("main") == repository.log("main", limit=1)[0].tree


def test_a_listing_has_mode_kind_hash_path_and_size(repository: Repository) -> None:
    (found,) = repository.listing("main", "teams")
    assert (found.mode, found.kind, found.path, found.size) == ("100755", "blob", "teams/x/run.sh", 10)
    assert [entry.path for entry in repository.listing("main")] == ["a.txt", "teams/x/run.sh"]


def test_the_children_of_a_folder_include_folders(repository: Repository) -> None:
    assert [(entry.kind, entry.path) for entry in repository.children("main") or []] == [
        ("blob", "a.txt"),
        ("tree", "teams"),
    ]
    assert [entry.path for entry in repository.children("main", "teams") or []] == ["teams/x"]
    assert repository.children("main", "a.txt") is None


def test_changes_are_counted_from_where_the_branch_left(repository: Repository) -> None:
    base = repository.resolve("main")
    head = commit(repository, "auto/x", base, {"b.txt": b"two\n", "a.txt": None})
    commit(repository, "main", "main", {"c.txt": b"on main\n"})
    found = repository.changes("main", head)
    assert [(change.status, change.old_mode, change.new_mode, change.path) for change in found] == [
        ("D", "100644", "000000", "a.txt"),
        ("A", "000000", "100644", "b.txt"),
    ]


def test_a_rename_is_a_delete_and_an_add(repository: Repository) -> None:
    head = commit(repository, "auto/x", "main", {"a.txt": None, "z.txt": b"one\n"})
    assert [(change.status, change.path) for change in repository.changes("main", head)] == [
        ("D", "a.txt"),
        ("A", "z.txt"),
    ]


def test_a_changed_mode_shows(repository: Repository) -> None:
    head = commit(repository, "auto/x", "main", {"a.txt": b"one\n"}, modes={"a.txt": "100755"})
    (found,) = repository.changes("main", head)
    assert (found.old_mode, found.new_mode) == ("100644", "100755")


@pytest.mark.parametrize(
    ("line", "mode", "path"),
    [
        ("120000 blob BLOB\tlink", "120000", "link"),
        ("160000 commit 1234567890123456789012345678901234567890\tmodule", "160000", "module"),
        ("100644 blob BLOB\t..", "100644", ".."),
        ("100644 blob BLOB\t.git", "100644", ".git"),
        ("100644 blob BLOB\twith\nnewline", "100644", "with\nnewline"),
        ("100644 blob BLOB\t\udcff\udcfe", "100644", r"\xff\xfe"),
        ("100644 blob BLOB\tр.py", "100644", "р.py"),  # noqa: RUF001 - a Cyrillic look-alike
    ],
)
def test_odd_entries_are_readable_so_that_the_gate_can_refuse_them(
    repository: Repository, line: str, mode: str, path: str, tmp_path: Path
) -> None:
    head = odd_commit(repository, line)
    added = [change for change in repository.changes("main", head) if change.status == "A"]
    assert [(change.new_mode, change.path) for change in added] == [(mode, path)]
    assert [(entry.mode, entry.path) for entry in repository.listing(head)] == [(mode, path)]
    with pytest.raises(UnsafePath):
        repository.export(head, "", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_commits_without_shared_history_cannot_be_compared(repository: Repository) -> None:
    alone = commit(repository, "auto/alone", None, {"a.txt": b"mine\n"})
    with pytest.raises(NoMergeBase, match="start the change from its base"):
        repository.changes("main", alone)
    with pytest.raises(NoMergeBase):
        repository.merge_tree("main", alone)


def test_merging_gives_a_tree_or_the_paths_in_conflict(repository: Repository) -> None:
    base = repository.resolve("main")
    one = commit(repository, "auto/one", base, {"a.txt": b"mine\n"})
    other = commit(repository, "auto/other", base, {"a.txt": b"theirs\n"})
    apart = commit(repository, "auto/apart", base, {"b.txt": b"b\n"})
    assert repository.merge_tree(one, other) == Conflict(("a.txt",))
    merged = repository.merge_tree(one, apart)
    assert isinstance(merged, str)
    assert repository.commit_tree(merged, [one, apart], "m", WHO, WHEN)


def test_ancestry_and_log_tell_history(repository: Repository) -> None:
    first = repository.resolve("main")
    second = commit(repository, "main", "main", {"b.txt": b"b\n"})
    assert repository.is_ancestor(first, second)
    assert not repository.is_ancestor(second, first)
    newest, oldest = repository.log("main")
    assert (newest.sha, newest.parents, newest.author, newest.authored_at) == (second, (first,), WHO, WHEN)
    assert newest.message.strip() == "On main"
    assert [found.sha for found in repository.log("main", path="b.txt")] == [second]
    assert [found.sha for found in repository.log("main", without=first)] == [second]
    assert oldest.parents == ()


def test_an_export_writes_the_bytes_of_git_whatever_attributes_say(repository: Repository, tmp_path: Path) -> None:
    files = {
        "t/.gitattributes": b"*.py export-ignore\n*.txt eol=crlf export-subst\n",
        "t/a.py": b"x",
        "t/b.txt": b"$Format:%H$\n",
    }
    head = commit(repository, "auto/x", "main", dict(files), modes={"t/a.py": "100755"})
    repository.export(head, "t", tmp_path / "out")
    assert {path: (tmp_path / "out" / path.removeprefix("t/")).read_bytes() for path in files} == files
    assert (tmp_path / "out/a.py").stat().st_mode & 0o777 == 0o755


def test_a_replace_ref_does_not_change_what_is_read(repository: Repository) -> None:
    old = repository.resolve("main")
    fake = commit(repository, "auto/fake", None, {"a.txt": b"forged\n"})
    repository.update_ref(f"refs/replace/{old}", fake, None)
    assert repository.read(old, "a.txt") == b"one\n"


def test_a_slow_git_is_stopped_with_a_clear_error(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 30\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(GitTimeout, match="try again"):
        Repository(repository.git_dir, timeout=0.2).log("main")


def test_a_checkout_is_read_through_its_git_folder(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(tmp_path / "work")], check=True)
    made = Repository(tmp_path / "work")
    commit(made, "main", None, {"a.txt": b"x"})
    assert made.read("main", "a.txt") == b"x"
