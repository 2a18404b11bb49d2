"""A throw-away company: a fresh home, a free port, a kernel of its own, and a way to wait for evidence."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from bootstrap.client import Company
from bootstrap.home import Home
from bootstrap.launch import follow, start_kernel
from bootstrap.model_server import with_model_name
from bootstrap.places import account_of
from bootstrap.settings import Settings
from mcp_servers.git.github import GitHubChanges

T = TypeVar("T")


class NoEvidence(AssertionError):
    """What a step claims could not be found."""


@dataclass
class Stage:
    settings: Settings
    home: Home
    kernel: subprocess.Popen[bytes]
    company: Company

    def bot(self) -> GitHubChanges:
        """The place of changes as the DevOps team's identity sees it."""
        return GitHubChanges(account_of(self.settings, self.home, "elf-devops"), lambda: datetime.now(UTC))

    def git(self, *arguments: str, login: str = "owner", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Git from outside, over HTTP, with a login's token in the environment and nowhere else."""
        environment = os.environ | {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Bearer {self.home.key(f'forge-{login}')}",
        }
        return subprocess.run(
            ["git", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def team(self, name: str) -> dict[str, Any] | None:
        """One team as `elf status` shows it."""
        return next((team for team in self.company.get("/status")["teams"] if team["team"] == name), None)


@contextmanager
def throw_away_company(
    settings: Settings,
    console: Console,
    *,
    keep: bool = False,
    database_url: str | None = None,
    alert_urls: tuple[str, ...] = (),
    otel_endpoint: str | None = None,
    first: Callable[[Settings, Home], object] | None = None,
) -> Generator[Stage]:
    """A company that is gone, with all its files, when the block ends (unless kept). Its database is in its home, or at the URL.

    `alert_urls`, `otel_endpoint`: who is told of this play, and where its traces go. `first` happens before it is started.
    """
    folder = Path(tempfile.mkdtemp(prefix="elf-"))
    home = Home(folder)
    home.prepare()
    database = database_url or f"sqlite:///{folder / 'company.db'}"
    staged = replace(
        with_model_name(settings),
        home=folder,
        port=free_port(),
        database_url=database,
        # What belongs to somebody's real company (who is told, which servers, whose collector) stays out of a play.
        alert_urls=alert_urls,
        otel_endpoint=otel_endpoint,
        mcp_servers="",
        mcp_services_file=None,
        kube=None,
        server_secrets={},
    )
    if first is not None:
        first(staged, home)
    kernel, progress = start_kernel(staged, home)
    try:
        if not follow(progress, console):
            raise NoEvidence(f"the company did not come up; {home.log} ends with: {_last_line(home.log)}")
        stage = Stage(staged, home, kernel, Company(home))
        yield stage
        stage.company.close()
    finally:
        if keep:
            console.print(
                f"Kept: ELF_HOME={folder} ELF_PORT={staged.port} ./elf status   (end it with ./elf down)", markup=False
            )
        else:
            end(kernel)
            shutil.rmtree(folder)


def end(kernel: subprocess.Popen[bytes]) -> None:
    kernel.terminate()
    try:
        kernel.wait(20)
    except subprocess.TimeoutExpired:
        kernel.kill()
        kernel.wait()


def wait_for(what: str, look: Callable[[], T | None], seconds: float = 30.0) -> T:
    """The first answer that is something; `NoEvidence` if there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise NoEvidence(f"not seen within {seconds:.0f} s: {what}")


def expect(true: object, otherwise: str) -> None:
    """Raises `NoEvidence` unless `true`."""
    if not true:
        raise NoEvidence(otherwise)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return lines[-1] if lines else "nothing"
