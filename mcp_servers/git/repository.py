"""A Git repository as typed calls, over the git command line: bare or local, read and written without a work tree.

Revisions are names or hashes checked against a plain pattern, so none can pass for an option or an expression. Paths that
are not UTF-8 come back with backslash escapes: readable in a message, and never equal to an allowed path.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from mcp_servers.git.command import TIMEOUT_SECONDS, GitFailed, GitTimeout, run_git
from mcp_servers.git.objects import (
    ANY,
    EMPTY_TREE,
    FILE_MODES,
    NO_SHA,
    Commit,
    Conflict,
    Entry,
    Held,
    LineCount,
    NoMergeBase,
    PathChange,
    RefMoved,
    RefUpdate,
    Signature,
    Step,
    UnknownRevision,
    UnsafePath,
    checked_mode,
    checked_path,
)

__all__ = [
    "ANY", "EMPTY_TREE", "FILE_MODES", "NO_SHA", "Commit", "Conflict", "Entry", "GitFailed", "GitTimeout", "NoMergeBase",
    "PathChange", "RefMoved", "RefUpdate", "Repository", "Signature", "UnknownRevision", "UnsafePath", "checked_path",
]  # fmt: skip

_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,250}")


class Repository:
    """A repository by its git folder (bare, or a checkout's `.git`). Every call may raise `GitFailed` or `GitTimeout`."""

    def __init__(self, git_dir: Path, *, timeout: float = TIMEOUT_SECONDS) -> None:
        inner = git_dir / ".git"
        self.git_dir = inner if inner.exists() else git_dir
        self.timeout = timeout

    # ------------------------------------------------------------------ reading

    def resolve(self, ref: str) -> str:
        """The hash of the commit that a branch, ref or hash names. `UnknownRevision`."""
        return self._object(f"{_revision(ref)}^{{commit}}", ref)[0]

    def read(self, commit: str, path: str) -> bytes:
        """The bytes of a file (of a symlink: its target's name). `UnknownRevision` if there is none."""
        return self.read_many(commit, [path])[path]

    def read_many(self, commit: str, paths: Iterable[str]) -> dict[str, bytes]:
        """Several files by one git process. `UnknownRevision` names the first that is missing."""
        wanted = list(paths)
        blobs = self.blobs([f"{_revision(commit)}:{_plain(path)}" for path in wanted])
        return dict(zip(wanted, blobs, strict=True))

    def tree(self, commit: str, path: str = "") -> str | None:
        """The hash of the folder at `path` ('' is the root), None if there is no folder."""
        try:
            sha, kind, _ = self._object(f"{_revision(commit)}:{_plain(path)}", path)
        except UnknownRevision:
            return None
        return sha if kind == "tree" else None

    def listing(self, commit: str, prefix: str = "") -> list[Entry]:
        """Every leaf below the folder or at the file `prefix`, in Git's order."""
        where = [_plain(prefix)] if prefix else []
        out = self._git("ls-tree", "-r", "-l", "-z", "--full-tree", _revision(commit), "--", *where)
        return [_entry(record) for record in _records(out)]

    def children(self, commit: str, path: str = "") -> list[Entry] | None:
        """What lies directly in the folder `path`, folders (kind tree) included; None if there is no such folder."""
        sha = self.tree(commit, path)
        if sha is None:
            return None
        out = self._git("ls-tree", "-l", "-z", "--full-tree", sha)
        return [_entry(record, f"{path}/" if path else "") for record in _records(out)]

    def changes(self, base: str, head: str) -> list[PathChange]:
        """What `head` changed since it left `base` (three dots: from the merge base), renames as delete and add."""
        since = self.merge_base(base, head)
        out = self._git("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", since, _revision(head), "--")
        fields = _records(out)
        found: list[PathChange] = []
        for meta, path in zip(fields[::2], fields[1::2], strict=True):
            old_mode, new_mode, _, sha, status = meta.lstrip(":").split()
            found.append(PathChange(status, old_mode, new_mode, path, sha))
        return found

    def line_counts(self, base: str, head: str) -> dict[str, LineCount]:
        """Lines added and deleted by path, over the same changes as `changes`."""
        since = self.merge_base(base, head)
        out = self._git("diff-tree", "-r", "-z", "--numstat", "--no-renames", since, _revision(head), "--")
        counted = (record.split("\t", 2) for record in _records(out))
        return {path: LineCount(_lines(added), _lines(deleted)) for added, deleted, path in counted}

    def count(self, ref: str, without: str) -> int:
        """How many commits `ref` has that `without` has not."""
        return int(self._git("rev-list", "--count", _revision(ref), f"^{_revision(without)}", "--"))

    def commits(self, ref: str, *, without: str, limit: int) -> list[str]:
        """The newest `limit` commits that `ref` has and `without` has not."""
        out = self._git("rev-list", f"--max-count={limit}", _revision(ref), f"^{_revision(without)}", "--")
        return out.decode().split()

    def steps(self, commits: Sequence[str]) -> list[Step]:
        """What each commit changed against its parent; a merge, only what it has from none of its parents. Renames as delete and add."""
        options = ("-r", "-c", "-z", "--raw", "--root", "--no-abbrev", "--no-renames")
        out = self._run("diff-tree", "--stdin", *options, stdin="".join(f"{it}\n" for it in commits).encode())[1]
        found: list[Step] = []
        commit, fields = "", iter(_records(out))
        for field in fields:
            if not field.startswith(":"):
                commit = field
                continue
            parents = len(field) - len(field.lstrip(":"))
            told = field.lstrip(":").split()
            found.append(Step(commit, next(fields), told[parents], told[2 * parents + 1]))
        return found

    def held(self, ref: str, *, without: str) -> list[Held]:
        """Every object that `ref` has and `without` has not, those of earlier commits included."""
        out = self._git("rev-list", "--objects", _revision(ref), f"^{_revision(without)}", "--")
        named = [line.partition(" ") for line in out.decode("utf-8", "backslashreplace").splitlines()]
        asked = "".join(f"{sha}\n" for sha, _, _ in named).encode()
        told = self._run("cat-file", "--batch-check=%(objecttype) %(objectsize)", stdin=asked)[1].decode().splitlines()
        kinds = [line.split(" ") for line in told]
        return [Held(sha, kind, int(size), path) for (sha, _, path), (kind, size) in zip(named, kinds, strict=True)]

    def merge_base(self, one: str, other: str) -> str:
        """The best common ancestor. `NoMergeBase` if the two share no history."""
        status, out = self._run("merge-base", _revision(one), _revision(other), accept=frozenset({0, 1}))
        if status:
            raise NoMergeBase(f"{one} and {other} share no history; start the change from its base branch")
        return out.decode().split()[0]

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether `descendant` contains `ancestor` (a commit contains itself)."""
        arguments = ("merge-base", "--is-ancestor", _revision(ancestor), _revision(descendant))
        return self._run(*arguments, accept=frozenset({0, 1}))[0] == 0

    def log(
        self,
        ref: str,
        *,
        limit: int = 50,
        path: str | None = None,
        first_parent: bool = False,
        without: str | None = None,
    ) -> list[Commit]:
        """The newest `limit` commits of `ref`, newest first: only those that touched `path`, and not those of `without`."""
        fields = "%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B"
        options = [f"--format={fields}", f"--max-count={limit}", *(["--first-parent"] if first_parent else [])]
        wanted = [_revision(ref), *([f"^{_revision(without)}"] if without else [])]
        out = self._git("log", "-z", *options, *wanted, "--", *([_plain(path)] if path else []))
        flat = out.decode("utf-8", "backslashreplace").split("\0")
        return [_commit(flat[at : at + 10]) for at in range(0, len(flat) - 9, 10)]

    def refs(self, prefix: str = "refs/heads/") -> dict[str, str]:
        """Full ref name to hash, of all refs below `prefix` (which ends with a slash) or equal to it."""
        out = self._git("for-each-ref", "--format=%(objectname) %(refname)", _revision(prefix))
        pairs = (line.split(" ", 1) for line in out.decode("utf-8", "backslashreplace").splitlines())
        return {name: sha for sha, name in pairs}

    def reflog_names(self, ref: str) -> list[str]:
        """Who moved the ref, newest first, as its reflog tells; empty where there is none."""
        status, out = self._run("reflog", "show", "--format=%gn", _revision(ref), "--", accept=frozenset({0, 128}))
        return [] if status else out.decode("utf-8", "backslashreplace").splitlines()

    def merge_tree(self, base: str, head: str) -> str | Conflict:
        """The tree that merging the two commits gives, or the paths in conflict. Moves no ref."""
        arguments = (
            "merge-tree",
            "--write-tree",
            "-z",
            "--name-only",
            "--no-messages",
            _revision(base),
            _revision(head),
        )
        try:
            status, out = self._run(*arguments, accept=frozenset({0, 1}))
        except GitFailed as error:
            if "unrelated histories" in error.stderr:
                raise NoMergeBase(
                    f"{base} and {head} share no history; start the change from its base branch"
                ) from error
            raise
        tree, *paths = _records(out)
        return Conflict(tuple(sorted(set(paths)))) if status else tree

    # ------------------------------------------------------------------ writing

    def write_tree(
        self, base: str | None, files: Mapping[str, bytes | None], modes: Mapping[str, str] | None = None
    ) -> str:
        """The tree of commit `base` (None: empty) with `files` put in place; a file of None is removed.

        `modes` gives 100755 to executables; the default is 100644. `UnsafePath` for any other mode and for odd paths.
        """
        chosen = {checked_path(path): checked_mode((modes or {}).get(path, "100644")) for path in files}
        written = {path: data for path, data in files.items() if data is not None}
        with tempfile.TemporaryDirectory(prefix="elf-index-") as scratch:
            shas = self._write_blobs(list(written.values()), Path(scratch))
            lines = [f"0 {NO_SHA}\t{path}" for path, data in files.items() if data is None]
            lines += [f"{chosen[path]} {sha}\t{path}" for path, sha in zip(written, shas, strict=True)]
            extra = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
            self._run("read-tree", _revision(base) if base else "--empty", extra=extra)
            self._run(
                "update-index", "-z", "--index-info", stdin="".join(f"{line}\0" for line in lines).encode(), extra=extra
            )
            return self._run("write-tree", extra=extra)[1].decode().strip()

    def commit_tree(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        author: Signature,
        when: datetime,
        *,
        committer: Signature | None = None,
    ) -> str:
        """A commit object of `tree`, by `author` at `when` (also `committer`'s time); the same inputs give the same hash."""
        by = committer or author
        stamp = f"{int(when.timestamp())} +0000"
        extra = {
            "GIT_AUTHOR_NAME": author.name, "GIT_AUTHOR_EMAIL": author.email, "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_NAME": by.name, "GIT_COMMITTER_EMAIL": by.email, "GIT_COMMITTER_DATE": stamp,
        }  # fmt: skip
        origin = [part for parent in parents for part in ("-p", _revision(parent))]
        out = self._run("commit-tree", _revision(tree), *origin, stdin=message.encode(), extra=extra)[1]
        return out.decode().strip()

    def update_ref(self, ref: str, new: str | None, expected_old: str | None) -> None:
        """Move, create (`expected_old` None) or delete (`new` None) a ref if it is where expected. `RefMoved` if not."""
        self.update_refs([RefUpdate(ref, new, expected_old)])

    def update_refs(self, updates: Sequence[RefUpdate], *, login: str = "elf-forge") -> None:
        """All updates or none, by compare-and-swap; `login` goes into the reflog. `RefMoved` names the first that moved."""
        commands = "".join(_ref_command(update) for update in updates)
        extra = {"GIT_COMMITTER_NAME": login, "GIT_COMMITTER_EMAIL": f"{login}@elf.local"}
        try:
            self._run("update-ref", "--create-reflog", "-z", "--stdin", stdin=commands.encode(), extra=extra)
        except GitFailed as error:
            for update in updates:
                actual = self.refs(update.ref).get(update.ref)
                if update.expected != ANY and actual != update.expected:
                    raise RefMoved(update.ref, update.expected, actual) from error
            raise

    def export(self, commit: str, path: str, into: Path) -> None:
        """Write the files of the folder `path` below `into`, byte for byte, without that prefix.

        `UnsafePath`, before anything is written, if there is a symlink, a submodule or an odd path; `UnknownRevision` if empty.
        Not `git archive`: attributes inside the tree could leave files out or change them.
        """
        entries = self.listing(commit, path)
        if not entries:
            raise UnknownRevision(f"there is no folder {path or '/'} at {commit}")
        for entry in entries:
            checked_path(entry.path)
            checked_mode(entry.mode, entry.path)
        for entry, data in zip(entries, self.blobs([entry.sha for entry in entries]), strict=True):
            target = into / (PurePosixPath(entry.path).relative_to(path) if path else PurePosixPath(entry.path))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            target.chmod(0o755 if entry.mode == "100755" else 0o644)

    # ------------------------------------------------------------------ leaves

    def blobs(self, names: Sequence[str], kind: str = "blob") -> list[bytes]:
        """The contents of blobs (or of objects of another kind), named by hash or `commit:path`, by one git process. `UnknownRevision`."""
        out = self._run("cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode())[1]
        found: list[bytes] = []
        at = 0
        for name in names:
            end = out.index(b"\n", at)
            header = out[at:end].decode("utf-8", "backslashreplace").split(" ")
            if len(header) != 3 or header[1] != kind:
                raise UnknownRevision(f"there is no {'file' if kind == 'blob' else kind} {name}")
            found.append(out[end + 1 : end + 1 + int(header[2])])
            at = end + 2 + int(header[2])
        return found

    def _write_blobs(self, contents: Sequence[bytes], scratch: Path) -> list[str]:
        names = [scratch / f"{index}" for index in range(len(contents))]
        for name, data in zip(names, contents, strict=True):
            name.write_bytes(data)
        listed = "".join(f"{name}\n" for name in names).encode()
        return self._run("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=listed)[1].decode().split()

    def _object(self, name: str, asked: str) -> tuple[str, str, int]:
        out = self._run("cat-file", "--batch-check", stdin=f"{name}\n".encode())[1]
        answer = out.decode("utf-8", "backslashreplace").strip().split(" ")
        if len(answer) != 3 or not answer[2].isdigit():
            raise UnknownRevision(f"there is no {asked} in {self.git_dir.name}")
        return answer[0], answer[1], int(answer[2])

    def _git(self, *arguments: str) -> bytes:
        return self._run(*arguments)[1]

    def _run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        extra: Mapping[str, str] | None = None,
        accept: frozenset[int] = frozenset({0}),
    ) -> tuple[int, bytes]:
        return run_git(self.git_dir, arguments, stdin=stdin, extra=extra, accept=accept, timeout=self.timeout)


def _revision(name: str) -> str:
    if not _REVISION.fullmatch(name) or ".." in name:
        raise UnknownRevision(f"{name[:120]!r} is not the name of a branch, a ref or a commit")
    return name


def _plain(path: str) -> str:
    """The path, if it can go in as one line and Git does not take it for one relative to a work tree."""
    if "\n" in path or "\0" in path or path.startswith(("./", "../")):
        raise UnknownRevision(f"there is no readable path {path[:120]!r}")
    return path


def _records(out: bytes) -> list[str]:
    return [part.decode("utf-8", "backslashreplace") for part in out.split(b"\0") if part]


def _lines(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _entry(record: str, prefix: str = "") -> Entry:
    meta, path = record.split("\t", 1)
    mode, kind, sha, size = meta.split()
    return Entry(mode, kind, sha, prefix + path, None if size == "-" else int(size))


def _commit(fields: Sequence[str]) -> Commit:
    sha, tree, parents, author, author_mail, authored, committer, committer_mail, committed, message = fields
    return Commit(
        sha, tree, tuple(parents.split()),
        Signature(author, author_mail), datetime.fromtimestamp(int(authored), UTC),
        Signature(committer, committer_mail), datetime.fromtimestamp(int(committed), UTC),
        message,
    )  # fmt: skip


def _ref_command(update: RefUpdate) -> str:
    ref = _revision(update.ref)
    if update.new is None:
        return f"delete {ref}\0{'' if update.expected in {None, ANY} else update.expected}\0"
    if update.new == update.expected:
        return f"verify {ref}\0{update.expected}\0"
    expected = {None: NO_SHA, ANY: ""}.get(update.expected, update.expected)
    return f"update {ref}\0{update.new}\0{expected}\0"
