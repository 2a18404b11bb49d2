"""A rendered set of files: values, until `write` puts them on a disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PATH = re.compile(r"^[a-z0-9_][a-z0-9_.-]*(/[a-z0-9_][a-z0-9_.-]*)*$", re.IGNORECASE)
REGULAR, EXECUTABLE = 0o100644, 0o100755


@dataclass(frozen=True)
class File:
    """One file: its bytes and its Git mode."""

    content: bytes
    mode: int = REGULAR

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class FileSet(Mapping[str, bytes]):
    """Relative POSIX paths to bytes, sorted by path. Equal sets have equal digests, on any machine."""

    files: Mapping[str, File] = field(default_factory=dict[str, File])

    def __post_init__(self) -> None:
        for path, file in self.files.items():
            if not _PATH.match(path):
                raise ValueError(
                    f"'{path}' is no path of a rendered file: use ASCII letters, digits, '.', '_', '-', '/'"
                )
            if file.mode not in (REGULAR, EXECUTABLE):
                raise ValueError(f"'{path}' has the mode {file.mode:o}; files are 100644 or 100755")
        object.__setattr__(self, "files", dict(sorted(self.files.items())))

    def __getitem__(self, path: str) -> bytes:
        return self.files[path].content

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over every path, mode and content."""
        whole = hashlib.sha256()
        for path, file in self.files.items():
            whole.update(f"{file.mode:o} {file.sha256} {path}\n".encode())
        return whole.hexdigest()


class NotOurs(ValueError):
    """The folder holds something this factory did not put there. Its text says what to do."""


def write(fileset: FileSet, out: Path, *, replacing: FileSet | None = None) -> None:
    """Writes the files into `out`, a new folder, an empty one, or one that holds exactly what was rendered before.

    `replacing` is that earlier rendering, whose files may be changed and removed; without it only `fileset` itself counts
    as rendered. A folder with anything else in it is refused with `NotOurs` and stays as it is.
    """
    known = replacing or fileset
    found = sorted(path for path in out.rglob("*") if path.is_symlink() or not path.is_dir())
    found = [path for path in found if path.suffix != ".pyc"]
    if strangers := [path for path in found if not _is_one_of(path, path.relative_to(out).as_posix(), known)]:
        names = ", ".join(path.relative_to(out).as_posix() for path in strangers[:3])
        raise NotOurs(
            f"{out} already holds what this factory did not write ({names}); choose an empty folder or a new one"
        )
    for path in found:
        if path.relative_to(out).as_posix() not in fileset:
            path.unlink()
    for name, file in fileset.files.items():
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode & 0o777)


def _is_one_of(path: Path, name: str, known: FileSet) -> bool:
    return not path.is_symlink() and path.is_file() and name in known and path.read_bytes() == known[name]
