"""The company's first commit: this checkout's own files. From then on the company's repository is changed by pull requests alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

#: Left out where the checkout is no Git repository and cannot say what belongs to it.
_NOT_OURS = {".git", ".venv", ".elf", "__pycache__", ".pytest_cache", ".ruff_cache", ".venv.lock"}
_LARGEST = 2_000_000


class BadCheckout(RuntimeError):
    """The checkout cannot be the company's beginning; the message says why and what to do."""


def files_of(checkout: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """The checkout's files and their modes (100644 or 100755), as they stand in the work tree."""
    contents: dict[str, bytes] = {}
    modes: dict[str, str] = {}
    for path in files_in(checkout):
        file = checkout / path
        if file.is_symlink():
            raise BadCheckout(f"{path} is a symbolic link; the company's repository takes plain files only: replace it")
        if not file.is_file():
            continue
        if file.stat().st_size > _LARGEST:
            raise BadCheckout(f"{path} is larger than {_LARGEST // 1_000_000} MB; move it out of the checkout")
        contents[path] = file.read_bytes()
        modes[path] = mode_of(file)
    if "policies/changes.yaml" not in contents:
        raise BadCheckout(f"{checkout} holds no policies; run ./elf from a complete checkout")
    return contents, modes


def files_in(checkout: Path) -> list[str]:
    """The paths of what belongs to the checkout: what Git tracks, or where it is no Git repository, what lies there."""
    return _tracked(checkout) if (checkout / ".git").exists() else _found(checkout)


def mode_of(file: Path) -> str:
    """The mode that Git gives it."""
    return "100755" if os.access(file, os.X_OK) else "100644"


def _tracked(checkout: Path) -> list[str]:
    listed = subprocess.run(
        ["git", "-C", str(checkout), "ls-files", "-z", "--cached"], capture_output=True, check=False, timeout=60
    )
    if listed.returncode != 0:
        raise BadCheckout(f"git cannot list the checkout's files: {listed.stderr.decode(errors='replace').strip()}")
    return [path for path in listed.stdout.decode().split("\0") if path]


def _found(checkout: Path) -> list[str]:
    found: list[str] = []
    for folder, folders, files in os.walk(checkout):
        folders[:] = sorted(name for name in folders if name not in _NOT_OURS)
        found += [
            (Path(folder) / name).relative_to(checkout).as_posix()
            for name in sorted(files)
            if name not in _NOT_OURS and not name.endswith(".pyc")
        ]
    return found
