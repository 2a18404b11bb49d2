"""Running the git command line: argument lists, a scrubbed environment, a time limit, clear errors."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

TIMEOUT_SECONDS = 30.0

#: Settings of every command: no hooks, no background repacking, patience with another process's lock.
SETTINGS = ("core.hooksPath=/dev/null", "gc.auto=0", "core.filesRefLockTimeout=5000", "core.packedRefsTimeout=5000")


class GitFailed(Exception):
    """A git command ended badly. `status` is its exit status, `stderr` what it said."""

    def __init__(self, verb: str, status: int, stderr: str) -> None:
        super().__init__(f"git {verb} failed with status {status}: {stderr.strip()[:500] or 'no message'}")
        self.verb, self.status, self.stderr = verb, status, stderr


class GitTimeout(GitFailed):
    """A git command took too long and was killed; trying again later may help."""

    def __init__(self, verb: str, seconds: float) -> None:
        super().__init__(verb, -9, f"no answer within {seconds:g} s; try again when the machine is less busy")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a git process: nothing of the user's or the machine's configuration, nothing of ours."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        **(extra or {}),
    }


def run_git(
    git_dir: Path,
    arguments: Sequence[str],
    *,
    stdin: bytes = b"",
    extra: Mapping[str, str] | None = None,
    accept: frozenset[int] = frozenset({0}),
    timeout: float = TIMEOUT_SECONDS,
) -> tuple[int, bytes]:
    """Exit status and standard output. `GitFailed` unless the status is in `accept`, `GitTimeout` past `timeout` seconds."""
    settings = [part for setting in SETTINGS for part in ("-c", setting)]
    try:
        done = subprocess.run(
            ["git", f"--git-dir={git_dir}", *settings, *arguments],
            input=stdin,
            env=environment(extra),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GitTimeout(arguments[0], timeout) from error
    except FileNotFoundError as error:
        raise GitFailed(arguments[0], 127, "the git program was not found; install Git 2.38 or newer") from error
    if done.returncode not in accept:
        raise GitFailed(arguments[0], done.returncode, done.stderr.decode("utf-8", "backslashreplace"))
    return done.returncode, done.stdout
