"""What a repository is read and written in: commits, entries, changed paths, and the errors about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
NO_SHA = "0" * 40
FILE_MODES = frozenset({"100644", "100755"})
#: As the expected old value of a ref: whatever it is now.
ANY: Literal["any"] = "any"

_PATH = re.compile(r"[A-Za-z0-9._/-]{1,250}")


class UnknownRevision(KeyError):
    """There is no such commit, path or object; ask for another."""

    def __str__(self) -> str:
        return str(self.args[0])


class NoMergeBase(Exception):
    """The two commits share no history; a change must start from its base branch."""


class RefMoved(Exception):
    """A ref was not where it was expected: somebody else was faster. Read again, then decide again."""

    def __init__(self, ref: str, expected: str | None, actual: str | None) -> None:
        super().__init__(
            f"{ref} was expected at {expected or 'nothing'} and is at {actual or 'nothing'}; read it again"
        )
        self.ref, self.expected, self.actual = ref, expected, actual


class UnsafePath(ValueError):
    """A path or mode that no file of the company may have."""


@dataclass(frozen=True)
class Entry:
    """One leaf of a tree. `kind` is blob (also a symlink's) or commit (a submodule); `size` in bytes, None for a submodule."""

    mode: str
    kind: str
    sha: str
    path: str
    size: int | None


@dataclass(frozen=True)
class PathChange:
    """One changed path. `status` is A, M, D or T (type changed); an absent side has mode 000000. `sha` is the new blob's."""

    status: str
    old_mode: str
    new_mode: str
    path: str
    sha: str = ""


@dataclass(frozen=True)
class Held:
    """One object of a repository: a commit, tree or blob. `path` is one place at which it stands; empty for a commit and the root."""

    sha: str
    kind: str
    size: int
    path: str


@dataclass(frozen=True)
class Step:
    """One path that one commit changed. `mode` and `sha` are those after it; the mode is 000000 where the path went away."""

    commit: str
    path: str
    mode: str
    sha: str


@dataclass(frozen=True)
class LineCount:
    """How many lines a change adds to a file and takes from it; none of a binary file."""

    added: int = 0
    deleted: int = 0


@dataclass(frozen=True)
class Conflict:
    """Two commits that do not merge, and the paths where they disagree."""

    paths: tuple[str, ...]


@dataclass(frozen=True)
class Signature:
    """Whom a commit names as its author or committer."""

    name: str
    email: str


@dataclass(frozen=True)
class Commit:
    """One commit, as `log` tells it."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    authored_at: datetime
    committer: Signature
    committed_at: datetime
    message: str


@dataclass(frozen=True)
class RefUpdate:
    """One step of an all-or-nothing update of refs. `new` None deletes, `expected` None demands that the ref does not exist.

    With `new` equal to `expected` the step only verifies.
    """

    ref: str
    new: str | None
    expected: str | None


def checked_path(path: str) -> str:
    """The path, if it is relative ASCII `[A-Za-z0-9._/-]` without empty, dot or `.git` parts; else `UnsafePath`."""
    parts = path.split("/")
    if not _PATH.fullmatch(path) or any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts):
        raise UnsafePath(f"the path {path[:120]!r} is not allowed; use letters, digits and . _ - / only, without '..'")
    return path


def checked_mode(mode: str, path: str = "the file") -> str:
    """The mode, if it is a plain or an executable file's; else `UnsafePath`."""
    if mode not in FILE_MODES:
        raise UnsafePath(
            f"{path} has mode {mode}; only plain files (100644, 100755) are allowed, no links or submodules"
        )
    return mode
