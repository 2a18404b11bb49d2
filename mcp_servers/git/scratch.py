"""A throw-away repository that stands on another: commits are tried in it, and nothing of them is ever in the other."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mcp_servers.git.command import run_git
from mcp_servers.git.repository import Repository


@contextmanager
def scratch_on(repository: Repository) -> Generator[Repository]:
    """An empty repository that can read all objects of the given one; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="elf-scratch-") as folder:
        path = Path(folder)
        run_git(path, ["init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(path)])
        info = path / "objects" / "info"
        info.mkdir(exist_ok=True)
        (info / "alternates").write_text(f"{repository.git_dir.resolve() / 'objects'}\n")
        yield Repository(path)
