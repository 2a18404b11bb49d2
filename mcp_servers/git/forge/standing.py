"""How a pull request stands: its words from the store, and its state and head from Git's refs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mcp_servers.git.forge.site import Visit
from mcp_servers.git.forge.store import PullRow
from mcp_servers.git.objects import NoMergeBase, UnknownRevision
from mcp_servers.git.repository import Repository


@dataclass(frozen=True)
class Pull:
    """A pull request as it stands. `head` is frozen when it closes; `base_sha` is the base branch's tip now."""

    row: PullRow
    head: str
    base_sha: str
    is_open: bool
    merge_commit: str | None


@dataclass(frozen=True)
class Size:
    """How much a pull request changes: commits, files, lines."""

    commits: int = 0
    files: int = 0
    additions: int = 0
    deletions: int = 0


def branch_ref(name: str) -> str:
    return f"refs/heads/{name}"


def standing(row: PullRow, refs: Mapping[str, str]) -> Pull:
    """How a pull request stands, given all refs of its repository. Without its branch it is closed."""
    kept = f"refs/pull/{row.number}/head"
    merge_commit = refs.get(f"refs/pull/{row.number}/merged")
    tip = refs.get(branch_ref(row.head))
    is_open = merge_commit is None and row.closed_at is None and tip is not None
    head = tip if is_open and tip else refs.get(kept, tip or "")
    return Pull(row, head, refs.get(branch_ref(row.base), ""), is_open, merge_commit)


def base_of(visit: Visit, pull: Pull) -> str:
    """The commit to compare the head with: the base's tip, or, once merged, what the base was before."""
    if pull.merge_commit is None:
        return pull.base_sha
    return visit.repository.log(pull.merge_commit, limit=1)[0].parents[0]


def size(visit: Visit, pull: Pull) -> Size:
    """How much it changes; nothing where the two sides share no history or one is gone."""
    try:
        return _size(visit.repository.git_dir, base_of(visit, pull), pull.head)
    except (NoMergeBase, UnknownRevision):
        return Size()


@lru_cache(maxsize=256)
def _size(git_dir: Path, base: str, head: str) -> Size:
    # Two commits have one difference for ever, and a pull request is looked at every few seconds.
    repository = Repository(git_dir)
    lines = repository.line_counts(base, head).values()
    added, deleted = sum(line.added for line in lines), sum(line.deleted for line in lines)
    return Size(repository.count(head, base), len(lines), added, deleted)


def contains(visit: Visit, commit: str, base: str) -> bool:
    """Whether `base` has the commit; no, if either is not there."""
    try:
        return visit.repository.is_ancestor(commit, base)
    except UnknownRevision:
        return False
