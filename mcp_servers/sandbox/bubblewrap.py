"""The sandbox by bubblewrap: namespaces of its own for processes, network, users and files, and the system call filter on top."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_servers.sandbox import launcher, seccomp
from mcp_servers.sandbox.port import Job, Outcome, SandboxFailed
from mcp_servers.sandbox.stage import Stage, limits_of, staged, system_paths
from mcp_servers.sandbox.watched import watch

_TREE, _LAUNCHER = "/sandbox/tree", "/sandbox/launcher.py"
#: Inside, where they are the run's own and end with it.
_WORK, _SHARED_MEMORY = "/tmp", "/dev/shm"  # noqa: S108


@dataclass(frozen=True)
class Bubblewrap:
    """`program` is bubblewrap's path."""

    program: str

    @classmethod
    def found(cls) -> Bubblewrap:
        """Raises `SandboxFailed` where it is not installed."""
        if (program := shutil.which("bwrap")) is None:
            raise SandboxFailed("bubblewrap is not installed; install it (apt-get install bubblewrap)")
        return cls(program)

    @property
    def name(self) -> str:
        return "bubblewrap: files, network, processes, system calls"

    def run(self, job: Job) -> Outcome:
        with staged(job.files) as stage:
            reading, writing = os.pipe()
            try:
                command = [self.program, *self._world(job, stage), "--", *_launched(job, stage, writing)]
                return watch(command, job.limits, _usage, (reading, writing))
            except seccomp.UnknownArchitecture as error:
                os.close(writing)
                raise SandboxFailed(str(error)) from error
            finally:
                os.close(reading)

    def _world(self, job: Job, stage: Stage) -> list[str]:
        """What the command finds: read-only but for /tmp, whose size is limited."""
        # As root the mounts need no user namespace; the launcher then becomes a user of its own, for limits do not bind root.
        spaces = ["--unshare-user", "--unshare-cgroup-try"] if stage.uid is None else ["--unshare-cgroup-try"]
        spaces += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
        rights = (
            [] if stage.uid is None else ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        )
        shown = [*system_paths(), *job.readable]
        # Left to itself it makes folders on the way that let nobody but their owner through.
        there = (Path("/"), Path(_WORK))
        ways = dict.fromkeys(folder for path in shown for folder in reversed(path.parents) if folder not in there)
        seen = [part for folder in ways for part in ("--perms", "0755", "--dir", str(folder))]
        seen += [part for path in shown for part in ("--ro-bind", str(path), str(path))]
        return [
            *(*spaces, *rights, "--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox"),
            # Before what is shown: an interpreter may lie below it.
            *("--perms", "1777", "--size", str(job.limits.total_bytes), "--tmpfs", _WORK),
            *seen,
            *("--perms", "0755", "--dir", "/sandbox"),
            *("--ro-bind", str(stage.tree), _TREE, "--ro-bind", launcher.__file__, _LAUNCHER),
            *("--proc", "/proc", "--dev", "/dev", "--perms", "0755", "--size", "4096", "--tmpfs", _SHARED_MEMORY),
            *("--remount-ro", _SHARED_MEMORY, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"),
        ]


def _launched(job: Job, stage: Stage, started: int) -> list[str]:
    launch = launcher.Launch(
        command=list(job.command),
        cwd=_TREE,
        environment={"LANG": "C.UTF-8", **job.environment, "HOME": _WORK, "TMPDIR": _WORK},
        limits=limits_of(job.limits, already=0),
        uid=stage.uid,
        reach=False,
        filter=seccomp.program(platform.machine(), signals=True).hex(),
        confine=None,
        keep=False,
        started=started,
    )
    return [sys.executable, "-I", "-S", _LAUNCHER, json.dumps(launch)]


def _usage(processes: Sequence[int]) -> tuple[int, int]:
    """What the run's own /tmp holds, seen through any of its processes."""
    for pid in reversed(processes):
        with contextlib.suppress(OSError):
            inside = Path(f"/proc/{pid}/root")
            if (inside / _TREE.lstrip("/")).is_dir():
                room = os.statvfs(inside / _WORK.lstrip("/"))
                return room.f_files - room.f_ffree, (room.f_blocks - room.f_bfree) * room.f_frsize
    return 0, 0
