"""Kill points: each outside call and each commit has a moment before it and one after it, and a process can be told to die at one.

Put into the working parts from outside: nothing of the product knows of it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import git
import requests

from mcp_servers.git.repository import RefUpdate, Repository
from memory.session import Database

_READS = {"GET", "HEAD"}


@dataclass
class Points:
    """Counts the moments; at number `kill_at` the process is killed as `kill -9` does it."""

    kill_at: int | None = None
    passed: list[str] = field(default_factory=list[str])
    #: Acts of the world around the company are not the company's moments.
    quiet: bool = False

    def at(self, name: str) -> None:
        if self.quiet:
            return
        self.passed.append(name)
        if len(self.passed) - 1 == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def around(self, name: str) -> Generator[None]:
        self.at(f"before {name}")
        yield
        self.at(f"after {name}")

    @contextmanager
    def not_ours(self) -> Generator[None]:
        """What happens here is somebody else's doing."""
        before, self.quiet = self.quiet, True
        try:
            yield
        finally:
            self.quiet = before


def install(points: Points) -> None:
    """Puts the moments into commits, HTTP writes, pushes and moves of refs of this process, for its lifetime."""
    _wrap_commits(points)
    _wrap(points, requests.Session, "send", _http)
    _wrap(points, git.Git, "execute", _push)
    _wrap(points, Repository, "update_refs", _move)


def _http(_session: requests.Session, request: requests.PreparedRequest, **_named: Any) -> str | None:
    method = str(request.method)
    return None if method in _READS else f"{method} {_place(str(request.url))}"


def _place(url: str) -> str:
    parts = url.split("/repos/elf/company/")[-1].split("?")[0].split("/")
    return "/".join("N" if part.isdigit() or len(part) == 40 else part for part in parts)


def _push(_git: git.Git, command: Sequence[str], *_more: Any, **_named: Any) -> str | None:
    return "git push" if "push" in command else None


def _move(_repository: Repository, updates: Sequence[RefUpdate], **_named: Any) -> str:
    return f"move of {updates[0].ref}"


def _wrap(points: Points, owner: type, method: str, name_of: Callable[..., str | None]) -> None:
    original = getattr(owner, method)

    def wrapped(*args: Any, **named: Any) -> Any:
        if (name := name_of(*args, **named)) is None:
            return original(*args, **named)
        with points.around(name):
            return original(*args, **named)

    setattr(owner, method, wrapped)


def _wrap_commits(points: Points) -> None:
    original = Database.begin

    @contextmanager
    def begin(self: Database) -> Generator[Any]:
        name = f"commit in {_who()}"
        with original(self) as session:
            yield session
            points.at(f"before {name}")
        points.at(f"after {name}")

    setattr(Database, "begin", begin)  # noqa: B010 (a method put in from outside)


def _who() -> str:
    """The function of the product that began the transaction."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage] the documented way to the caller
    while frame is not None and ("contextlib" in frame.f_code.co_filename or "killing" in frame.f_code.co_filename):
        frame = frame.f_back  # pyright: ignore[reportAssignmentType]
    return frame.f_code.co_qualname if frame is not None else "?"
