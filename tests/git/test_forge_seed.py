"""The first commit of a company: the same every time, and repaired if it was cut short."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mcp_servers.git.command import run_git
from mcp_servers.git.forge import SeedRefused, bare_path, seed
from mcp_servers.git.objects import Signature, UnsafePath
from mcp_servers.git.repository import Repository
from tests.git.conftest import START

FILES = {"README.md": b"# A company\n", "elf": b"#!/usr/bin/env python3\n"}
WHO = Signature("owner", "owner@elf.local")


def seeded(root: Path) -> Repository:
    return seed(root, "elf", "company", FILES, {"elf": "100755"}, WHO, START, "The company begins\n")


def bare(root: Path) -> Path:
    path = bare_path(root, "elf", "company")
    assert path is not None
    return path


def test_a_seed_is_one_deterministic_commit_on_main(tmp_path: Path) -> None:
    one, other = seeded(tmp_path / "one"), seeded(tmp_path / "other")
    assert one.resolve("main") == other.resolve("main")
    assert {entry.path: entry.mode for entry in one.listing("main")} == {"README.md": "100644", "elf": "100755"}
    assert len(one.log("main")) == 1


def test_a_second_seed_changes_nothing(tmp_path: Path) -> None:
    first = seeded(tmp_path)
    tree = first.write_tree("main", {"more": b"x"})
    later = first.commit_tree(tree, [first.resolve("main")], "more\n", WHO, START)
    first.update_ref("refs/heads/main", later, first.resolve("main"))
    assert seeded(tmp_path).resolve("main") == later


@pytest.mark.parametrize("left", ["empty folder", "no main", "half built", "no HEAD"])
def test_a_seed_cut_short_is_repaired(tmp_path: Path, left: str) -> None:
    wanted = seeded(tmp_path / "whole").resolve("main")
    root = tmp_path / "root"
    folder = bare(root)
    folder.mkdir(parents=True)
    if left == "no main":
        run_git(folder, ["init", "--quiet", "--bare", str(folder)])
    if left == "half built":
        shutil.copytree(bare(tmp_path / "whole"), folder.with_name(".company.seeding"))
        shutil.rmtree(folder.with_name(".company.seeding") / "refs")
    if left == "no HEAD":
        (folder / "objects").mkdir()
    assert seeded(root).resolve("main") == wanted
    assert sorted(path.name for path in folder.parent.iterdir()) == ["company.git"]


def test_a_repository_that_lost_main_is_not_overwritten(tmp_path: Path) -> None:
    repository = seeded(tmp_path)
    repository.update_ref("refs/heads/auto/x", repository.resolve("main"), None)
    repository.update_ref("refs/heads/main", None, repository.resolve("main"))
    with pytest.raises(SeedRefused, match="restore main from a clone"):
        seeded(tmp_path)
    assert repository.resolve("auto/x")


def test_a_repository_whose_objects_are_gone_is_not_overwritten(tmp_path: Path) -> None:
    seeded(tmp_path)
    shutil.rmtree(bare(tmp_path) / "objects")
    (bare(tmp_path) / "objects").mkdir()
    with pytest.raises(SeedRefused, match="restore the folder from a copy"):
        seeded(tmp_path)
    assert (bare(tmp_path) / "refs/heads/main").exists()


@pytest.mark.parametrize("name", ["../company", "", "a/b", ".hidden", "x" * 50, "company.git"])
def test_a_repository_needs_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(SeedRefused, match="not a usable repository name"):
        seed(tmp_path, "elf", name, FILES, {}, WHO, START, "x\n")
    assert list(tmp_path.iterdir()) == []


def test_a_seed_with_an_odd_path_leaves_no_repository(tmp_path: Path) -> None:
    with pytest.raises(UnsafePath):
        seed(tmp_path, "elf", "company", {"../x": b""}, {}, WHO, START, "x\n")
    assert not bare(tmp_path).exists()
