"""Starts a sandboxed program and looks at it until it ends or has used too much."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcp_servers.sandbox.launcher import BROKEN, descendants
from mcp_servers.sandbox.port import Ended, Limits, Outcome, SandboxFailed

_LOOK_EVERY_S = 0.05
_PAGE = os.sysconf("SC_PAGE_SIZE")

Usage = Callable[[Sequence[int]], tuple[int, int]]
"""(files, bytes) that the processes with these ids have written."""


@dataclass
class _Run:
    process: subprocess.Popen[bytes]
    limits: Limits
    usage: Usage
    began: float
    output: dict[int, bytearray] = field(default_factory=dict[int, bytearray])


def watch(command: Sequence[str], limits: Limits, usage: Usage, started: tuple[int, int]) -> Outcome:
    """Runs the program, which inherits `started[1]` and writes to it when the sandbox is complete. Raises `SandboxFailed`.

    Its standard input is a pipe that says nothing and closes with us, so that it can end when we do.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            pass_fds=[started[1]],
            start_new_session=True,
        )
    except OSError as error:
        os.close(started[1])
        raise SandboxFailed(f"{command[0]} could not be started: {error}") from error
    os.close(started[1])
    run = _Run(process, limits, usage, time.monotonic())
    try:
        ended = _until_it_ends(run)
    finally:
        _end(process)
    stdout, stderr = (bytes(data) for data in run.output.values())
    if not os.read(started[0], 1):
        said = stderr.decode("utf-8", "backslashreplace").strip()[-500:] or f"status {process.returncode}"
        raise SandboxFailed(f"the sandbox could not be set up: {said}")
    status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    if ended == "exited" and status == 128 + signal.SIGXCPU:
        ended = "cpu"
    if ended == "exited" and status == BROKEN and stderr.startswith(b"sandbox: "):
        raise SandboxFailed(f"the command could not be started: {stderr.decode('utf-8', 'backslashreplace')[:500]}")
    return Outcome(ended, status, stdout, stderr, time.monotonic() - run.began)


def _until_it_ends(run: _Run) -> Ended:
    assert run.process.stdout is not None and run.process.stderr is not None
    with selectors.DefaultSelector() as selector:
        for stream in (run.process.stdout, run.process.stderr):
            run.output[stream.fileno()] = bytearray()
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        looked = run.began
        while True:
            over = run.process.poll() is not None
            for key, _ in selector.select(timeout=0 if over else 0.02):
                if not (data := os.read(key.fd, 65_536)):
                    selector.unregister(key.fileobj)
                    continue
                if (room := run.limits.output_bytes - sum(map(len, run.output.values()))) < len(data):
                    run.output[key.fd] += data[: max(room, 0)]
                    return "output"
                run.output[key.fd] += data
            if over:
                return "exited"
            if not selector.get_map():
                time.sleep(0.005)
            now = time.monotonic()
            if now - run.began > run.limits.wall_seconds:
                return "wall"
            if now - looked >= _LOOK_EVERY_S:
                looked = now
                if (reached := _too_much(run)) is not None:
                    return reached


def _too_much(run: _Run) -> Ended | None:
    below = descendants(run.process.pid)
    # Beside the command's own there are at most two of the sandbox's.
    if len(below) > run.limits.processes + 2:
        return "processes"
    if sum(map(_resident, below)) > run.limits.memory_bytes:
        return "memory"
    files, written = run.usage(below)
    return "files" if files > run.limits.total_files or written > run.limits.total_bytes else None


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """Closing its input tells a keeper to end everything; what does not end then is killed."""
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    process.stdin.close()
    try:
        process.wait(timeout=0 if _is_its_own_keeper(process) else 6)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
    process.stderr.close()


def _is_its_own_keeper(process: subprocess.Popen[bytes]) -> bool:
    """bubblewrap's processes die with it; it does not read its input."""
    assert isinstance(process.args, list)
    return Path(str(process.args[0])).name == "bwrap"
