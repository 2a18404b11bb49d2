"""The sandbox by the kernel alone: Landlock for files, a system call filter for everything else, a keeper for what is left behind.

Weaker than bubblewrap: the command can learn that files exist, and how large they are; it cannot open them.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_servers.sandbox import launcher, seccomp
from mcp_servers.sandbox.port import Job, Outcome, SandboxFailed
from mcp_servers.sandbox.stage import (
    Stage,
    limits_of,
    processes_of_this_user,
    reachable_by_others,
    staged,
    system_paths,
)
from mcp_servers.sandbox.watched import watch
from teams.runtime import confine

#: Of the kernel's own files, what programs look at when they start. Not /proc: it shows other processes.
_DEVICES = ("/dev/urandom", "/dev/zero", "/sys/devices/system/cpu")
_SIGNALS_STAY_INSIDE = 6


@dataclass(frozen=True)
class Landlocked:
    """`abi` is the kernel's Landlock version."""

    abi: int

    @classmethod
    def found(cls) -> Landlocked:
        """Raises `SandboxFailed` where the kernel has no Landlock."""
        if (abi := confine.version()) < 1:
            raise SandboxFailed("this kernel has no Landlock (Linux 5.13 or newer has)")
        return cls(abi)

    @property
    def name(self) -> str:
        return f"landlock {self.abi} and seccomp: files, network, system calls"

    def run(self, job: Job) -> Outcome:
        with staged(job.files) as stage:
            reading, writing = os.pipe()
            try:
                command = self._launched(job, stage, writing)
                return watch(command, job.limits, lambda _below: _written(stage.work, job), (reading, writing))
            except seccomp.UnknownArchitecture as error:
                os.close(writing)
                raise SandboxFailed(str(error)) from error
            finally:
                os.close(reading)

    def _launched(self, job: Job, stage: Stage, started: int) -> list[str]:
        readable = [*system_paths(), *job.readable]
        work = str(stage.work)
        launch = launcher.Launch(
            command=list(job.command),
            cwd=str(stage.tree),
            environment={"LANG": "C.UTF-8", **job.environment, "HOME": work, "TMPDIR": work},
            limits=limits_of(job.limits, already=0 if stage.uid is not None else processes_of_this_user()),
            uid=stage.uid,
            # The stage, too: a company's scratch lies in its home, which lets nobody but its owner through.
            reach=stage.uid is not None and not all(map(reachable_by_others, [*readable, stage.tree])),
            filter=seccomp.program(platform.machine(), signals=self.abi >= _SIGNALS_STAY_INSIDE).hex(),
            confine={
                "module": confine.__file__,
                "readable": [*map(str, readable), *_DEVICES, str(stage.tree)],
                "writable": [work],
            },
            keep=True,
            started=started,
        )
        return [sys.executable, "-I", "-S", launcher.__file__, json.dumps(launch)]


def _written(folder: Path, job: Job) -> tuple[int, int]:
    """Files and bytes below the folder; it stops counting once it is too much."""
    files = size = 0
    waiting: list[str] = [str(folder)]
    while waiting and files <= job.limits.total_files and size <= job.limits.total_bytes:
        for entry in _entries(waiting.pop()):
            files += 1
            try:
                size += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
            except OSError:
                continue
    return files, size


def _entries(folder: str) -> Sequence[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []
