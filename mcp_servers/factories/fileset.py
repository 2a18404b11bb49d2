"""A rendered set of files: values, until `write` puts them on a disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PATH = re.compile(r"^[a-z0-9_][a-z0-9_.-]*(/[a-z0-9_][a-z0-9_.-]*)*$", re.IGNORECASE)
_MARK = ".rendered"

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

    def under(self, folder: str) -> FileSet:
        """The same files, `folder` deep."""
        return FileSet({f"{folder}/{path}": file for path, file in self.files.items()})


class NotOurs(Exception):
    """The folder holds something this factory did not put there. Its text says what to do."""


def write(fileset: FileSet, out: Path) -> None:
    """Writes the files into `out`, replacing what an earlier `write` left there and nothing else.

    A folder that has other files in it is refused with `NotOurs`, and stays as it is.
    """
    mark = out / _MARK
    ours: set[str] = set(mark.read_text(encoding="utf-8").splitlines()) if mark.is_file() else set()
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir() or path.is_symlink()}
    if strangers := sorted(found - ours - {_MARK}):
        raise NotOurs(
            f"{out} already holds files this factory did not write ({', '.join(strangers[:3])}); "
            "choose an empty folder or a new one"
        )
    for path in sorted(ours & found):
        (out / path).unlink()
    for path, file in fileset.files.items():
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode & 0o777)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text("".join(f"{path}\n" for path in fileset), encoding="utf-8")
