"""The port to a place where somebody else's code may run: no network, no keys, no environment, and an end to everything it may use.

What comes back is what the code *says*: its exit status and its output are claims, for the caller to hold against what it knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Ended = Literal["exited", "cpu", "wall", "memory", "processes", "files", "output"]
"""How a run ended: by itself (whatever its status), or because it reached that limit."""


@dataclass(frozen=True)
class Limits:
    """What one run may use, all its processes together unless it says otherwise. Bytes and seconds."""

    wall_seconds: float = 60.0
    #: Of each process.
    cpu_seconds: int = 30
    memory_bytes: int = 1_000_000_000
    #: Address space of each process: a single large allocation fails at once.
    address_bytes: int = 4_000_000_000
    #: Processes and threads.
    processes: int = 64
    #: Of each file.
    file_bytes: int = 16_000_000
    total_bytes: int = 64_000_000
    total_files: int = 2_000
    #: Standard output and error together.
    output_bytes: int = 1_000_000


@dataclass(frozen=True)
class Job:
    """A command over a tree of files. It starts in the tree's root, which it can only read; it can write below `$TMPDIR` alone.

    `command[0]` is absolute. Beside the tree, the system's programs and this interpreter with its packages, it sees `readable`.
    Its environment is `environment` and what names the writable place, nothing else.
    """

    command: tuple[str, ...]
    files: Mapping[str, bytes]
    readable: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    limits: Limits = Limits()


@dataclass(frozen=True)
class Outcome:
    """How it ended. `status` is the exit status, 128 and the signal's number for a signal; output is cut at the limit."""

    ended: Ended
    status: int
    stdout: bytes
    stderr: bytes
    seconds: float

    @property
    def ok(self) -> bool:
        return self.ended == "exited" and self.status == 0


class SandboxFailed(Exception):
    """The sandbox itself did not work: the command was not run in it, and nothing is known of the command."""


class Sandbox(Protocol):
    """One way to shut a command in. Threads may share it; each run is a place of its own, gone with all its processes at the end."""

    @property
    def name(self) -> str: ...

    def run(self, job: Job) -> Outcome:
        """Runs the command to its end or a limit. Raises `SandboxFailed`."""
        ...
