"""What a person changed in files of theirs, carried over to main as it is now.

Their files are of some day: from a checkout that main has left behind, or from a newer one. What they changed is what differs from
that version in main's history which is closest to theirs; what main changed since then stays. Where the two cannot be put together,
that is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import SequenceMatcher

from mcp_servers.git.command import run_git
from mcp_servers.git.compared import blob_sha
from mcp_servers.git.objects import NO_SHA, Conflict, Entry, Signature
from mcp_servers.git.repository import Repository

_NOBODY = Signature("elf", "elf@elf.local")
_WHENEVER = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Brought:
    """A file as a person has it, under its path in the repository; `data` is None where they removed it."""

    path: str
    data: bytes | None
    mode: str = "100644"


@dataclass
class Carried:
    """`files` (None: removed) to put on top of main. The rest is for people."""

    files: dict[str, bytes | None] = field(default_factory=dict[str, "bytes | None"])
    modes: dict[str, str] = field(default_factory=dict[str, str])
    #: Not changed by the person: what they have is what main once had, and main went on.
    behind: list[str] = field(default_factory=list[str])
    #: Where main had changed something else, which was kept.
    merged: list[str] = field(default_factory=list[str])
    #: Where both changed the same lines.
    conflicts: list[str] = field(default_factory=list[str])


def carry_over(scratch: Repository, main: str, brought: Sequence[Brought], *, whole: bool) -> Carried:
    """What of the files is to be proposed onto the commit `main`. `whole`: the files as they are, whatever main changed meanwhile."""
    now = {entry.path: entry for entry in scratch.listing(main)}
    changed = [one for one in brought if not _same(now.get(one.path), one)]
    done = Carried()
    past = {} if whole else _versions(scratch, main, [one.path for one in changed if one.data is not None])
    diverged: dict[Brought, str] = {}
    for one in changed:
        there, base = now.get(one.path), _begun_from(scratch, one, past.get(one.path, ()), now.get(one.path))
        if one.data is not None and base == blob_sha(one.data) and (there is None or there.sha != base):
            done.behind.append(one.path)
        elif base is None or (there is not None and there.sha == base):
            done.files[one.path], done.modes[one.path] = one.data, one.mode
        elif there is None:
            done.conflicts.append(one.path)
        else:
            diverged[one] = base
    if diverged:
        _merge(scratch, main, diverged, done)
    return done


def _same(there: Entry | None, one: Brought) -> bool:
    if there is None or one.data is None:
        return there is None and one.data is None
    return (there.sha, there.mode) == (blob_sha(one.data), one.mode)


def _versions(repository: Repository, main: str, paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The blobs that each path has been in main, newest first."""
    if not paths:
        return {}
    asked = [
        "log",
        "--raw",
        "--no-abbrev",
        "--no-renames",
        "-m",
        "--first-parent",
        "-z",
        "--format=",
        main,
        "--",
        *paths,
    ]
    fields = [
        part for part in run_git(repository.git_dir, asked)[1].decode("utf-8", "backslashreplace").split("\0") if part
    ]
    found: dict[str, list[str]] = {}
    for meta, path in zip(fields[::2], fields[1::2], strict=True):
        sha = meta.split()[3]
        if sha != NO_SHA:
            found.setdefault(path, []).append(sha)
    return {path: tuple(dict.fromkeys(shas)) for path, shas in found.items()}


def _begun_from(repository: Repository, one: Brought, versions: Sequence[str], there: Entry | None) -> str | None:
    """The version that the person began with. None where main never had the file."""
    if one.data is None or not versions:
        return None
    texts = {sha: data.splitlines() for sha, data in zip(versions, repository.blobs(versions), strict=True)}
    mine = one.data.splitlines()
    if there is not None and there.sha in texts and _only_new_lines(mine, texts[there.sha], texts.values()):
        return there.sha
    # The fewest lines tell it from theirs; of several it is the oldest, from which least is taken back.
    return min(reversed(versions), key=lambda sha: _distance(Counter(mine), Counter(texts[sha])))


def _only_new_lines(mine: Sequence[bytes], main: Sequence[bytes], older: Iterable[Sequence[bytes]]) -> bool:
    """Whether wherever the two differ the person has lines that main never had, and no fewer than main: then nothing comes back."""
    once = {line for version in older for line in version} - set(main)
    for what, begin, end, first, last in SequenceMatcher(None, main, mine, autojunk=False).get_opcodes():
        if what != "equal" and (last - first < max(1, end - begin) or not once.isdisjoint(mine[first:last])):
            return False
    return True


def _distance(one: Counter[bytes], other: Counter[bytes]) -> int:
    return (one - other).total() + (other - one).total()


def _merge(scratch: Repository, main: str, diverged: Mapping[Brought, str], done: Carried) -> None:
    """Both sides' changes since the version they have in common, as Git merges them."""
    commons = dict(zip(diverged, scratch.blobs(list(diverged.values())), strict=True))
    before = scratch.write_tree(main, {one.path: commons[one] for one in diverged})
    mine = scratch.write_tree(main, {one.path: one.data for one in diverged})
    tree_of_main = scratch.tree(main)
    assert tree_of_main is not None
    begun = scratch.commit_tree(before, [], "before\n", _NOBODY, _WHENEVER)
    theirs, ours = (scratch.commit_tree(tree, [begun], "after\n", _NOBODY, _WHENEVER) for tree in (mine, tree_of_main))
    merged = scratch.merge_tree(ours, theirs)
    if isinstance(merged, Conflict):
        done.conflicts += merged.paths
        return
    for one in diverged:
        data = scratch.read(merged, one.path)
        if data != scratch.read(main, one.path):
            done.files[one.path], done.modes[one.path] = data, one.mode
            done.merged.append(one.path)
