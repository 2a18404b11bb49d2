"""The first commit of a company's repository."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from mcp_servers.git.command import run_git
from mcp_servers.git.forge.site import bare_path
from mcp_servers.git.objects import Signature, UnknownRevision
from mcp_servers.git.repository import Repository

MAIN = "refs/heads/main"


class SeedRefused(Exception):
    """There is something at the repository's place that a seed must not overwrite."""


def seed(
    root: Path,
    owner: str,
    repo: str,
    files: Mapping[str, bytes],
    modes: Mapping[str, str],
    identity: Signature,
    when: datetime,
    message: str,
) -> Repository:
    """The bare repository, with one commit of `files` on main if it had none; the same inputs give the same commit.

    It is made beside its place and moved there whole, so a seed cut short leaves nothing to trip over. A repository that
    has a main branch is left as it is. `UnsafePath` for a path or mode no file may have.
    """
    bare = bare_path(root, owner, repo)
    if bare is None:
        raise SeedRefused(f"{owner}/{repo} is not a usable repository name; use letters, digits, '-' and '_'")
    if bare.exists() and _seeded(bare):
        return Repository(bare)
    building = bare.with_name(f".{repo}.seeding")
    shutil.rmtree(building, ignore_errors=True)
    building.parent.mkdir(parents=True, exist_ok=True)
    run_git(building, ["init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(building)])
    made = Repository(building)
    tree = made.write_tree(None, files, modes)
    made.update_ref(MAIN, made.commit_tree(tree, [], message, identity, when), None)
    if bare.exists():
        shutil.rmtree(bare)
    building.replace(bare)
    return Repository(bare)


def _seeded(bare: Path) -> bool:
    """Whether the repository has its main branch; `SeedRefused` if it lost it but holds other branches."""
    repository = Repository(bare)
    if not (bare / "HEAD").exists():
        return False
    refs = repository.refs("refs/")
    if MAIN not in refs:
        if refs:
            raise SeedRefused(
                f"{bare.name} has branches but no main; restore main from a clone, or move the folder away"
            )
        return False
    try:
        return repository.resolve(MAIN) == refs[MAIN]
    except UnknownRevision as error:
        raise SeedRefused(f"main of {bare.name} names a missing commit; restore the folder from a copy") from error
