"""The warm server: loads the frameworks once and forks team processes from there, in milliseconds.

    python -m teams.runtime.nursery

It is started by the kernel with an environment that holds no key, and speaks JSON lines on stdin and stdout:

    {"id": 1, "op": "spawn", "deployment": path, "stdout": path, "stderr": path}  ->  {"id": 1, "pid": n, "port": n}
    {"id": 2, "op": "stop", "pid": n, "grace": seconds}                           ->  {"id": 2, "stopped": true|false}

It prints {"ready": true, "preloaded": [...]} when it is warm and {"exited": pid, "status": n} when a child ends (negative: the signal).
The deployment travels as a file that the child reads and removes: no token ever enters the nursery's memory, which every later child
inherits. When its stdin closes it ends every child and then itself: nothing outlives the kernel that started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn
from urllib.parse import urlsplit

from teams.runtime.confine import code_to_read, confine
from teams.runtime.deployment import Deployment

#: Imported before the first fork, so that children share the pages.
FRAMEWORKS = ("teams.runtime.server", "teams.runtime.graph", "teams.runtime.crew", "meta_teams.delivery.workflow")
_LINE_LIMIT = 4_000_000
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Ending:
    """A child that was told to stop and gets the signal that cannot be ignored at `deadline` (monotonic seconds)."""

    deadline: float
    request: int


def _noticed(_signal: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor carries the news; the handler only keeps the default from ignoring it."""


class Nursery:
    def __init__(self, answers: int) -> None:
        self._answers = answers
        self._alive: set[int] = set()
        self._ending: dict[int, Ending] = {}

    def run(self, requests: int) -> None:
        """Serves until `requests` (a file descriptor) is at its end."""
        wakeup, signalled = os.pipe()
        os.set_blocking(signalled, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(signalled)
        signal.signal(signal.SIGCHLD, _noticed)
        selector = selectors.DefaultSelector()
        selector.register(requests, selectors.EVENT_READ)
        selector.register(wakeup, selectors.EVENT_READ)
        pending = b""
        while True:
            for key, _ in selector.select(timeout=0.1 if self._ending else None):
                if key.fd == wakeup:
                    os.read(wakeup, 4096)
                    continue
                chunk = os.read(requests, 65_536)
                if not chunk:
                    self._end_all()
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                if len(pending) > _LINE_LIMIT:
                    raise ValueError("a request to the nursery is too long")
                for line in lines:
                    self._answer(json.loads(line))
            self._reap()
            self._enforce_deadlines()

    def say(self, message: dict[str, Any]) -> None:
        os.write(self._answers, json.dumps(message).encode() + b"\n")

    def _answer(self, request: dict[str, Any]) -> None:
        try:
            if request["op"] == "spawn":
                pid, port = self._spawn(request)
                self.say({"id": request["id"], "pid": pid, "port": port})
            elif request["op"] == "stop":
                self._stop(request["pid"], float(request["grace"]), request["id"])
            else:
                self.say({"id": request["id"], "error": f"unknown operation {request['op']!r}"})
        except (OSError, ValueError, KeyError) as error:
            self.say({"id": request.get("id"), "error": f"{type(error).__name__}: {error}"})

    def _spawn(self, request: dict[str, Any]) -> tuple[int, int]:
        # Said to be TCP, for asyncio to switch off Nagle's algorithm, which would hold answers back for 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        port = listener.getsockname()[1]
        nursery = os.getpid()
        pid = os.fork()
        if pid == 0:
            _live(Path(request["deployment"]), listener, request["stdout"], request["stderr"], nursery)
        listener.close()
        self._alive.add(pid)
        return pid, port

    def _stop(self, pid: int, grace: float, request: int) -> None:
        if pid not in self._alive:
            self.say({"id": request, "stopped": False})
            return
        os.kill(pid, signal.SIGTERM)
        self._ending[pid] = Ending(time.monotonic() + grace, request)

    def _reap(self) -> None:
        for pid in sorted(self._alive):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            self._alive.discard(pid)
            if ending := self._ending.pop(pid, None):
                self.say({"id": ending.request, "stopped": True})
            self.say({"exited": pid, "status": os.waitstatus_to_exitcode(status)})

    def _enforce_deadlines(self) -> None:
        for pid, ending in self._ending.items():
            if time.monotonic() > ending.deadline:
                os.kill(pid, signal.SIGKILL)

    def _end_all(self) -> None:
        for pid in self._alive:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 2.0
        while self._alive and time.monotonic() < deadline:
            for pid in sorted(self._alive):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    self._alive.discard(pid)
            time.sleep(0.02)
        for pid in self._alive:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _live(told: Path, listener: socket.socket, stdout: str, stderr: str, nursery: int) -> NoReturn:
    """The child: becomes the team's process and never returns into the nursery's code."""
    status = 1
    try:
        _become_alone(stdout, stderr, listener, nursery)
        deployment = Deployment.model_validate_json(told.read_bytes())
        told.unlink()
        port = urlsplit(deployment.gateway_url).port or 80
        work_dir = Path(deployment.work_dir)
        os.environ.update(HOME=str(work_dir), TMPDIR=str(work_dir), CREWAI_STORAGE_DIR=str(work_dir))
        # Asked before the fork, the answer would be the nursery's.
        tempfile.tempdir = str(work_dir)
        sys.dont_write_bytecode = True
        os.chdir(work_dir)
        code = Path(__file__).resolve().parents[2]
        confinement = confine(
            readable=[
                *code_to_read(),
                code / "teams",
                code / "meta_teams",
                Path(deployment.source),
                Path(deployment.told_dir),
            ],
            writable=[work_dir],
            connect_port=port,
        )
        from teams.runtime.server import serve

        serve(deployment, listener, confinement=confinement)
        status = 0
    except BaseException:  # noqa: BLE001 (nothing may climb into the nursery's loop)
        # The last word of a child that cannot start goes where people look: its own log.
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _become_alone(stdout: str, stderr: str, listener: socket.socket, nursery: int) -> None:
    """A session of its own, its own output files, no descriptor of the nursery's, and the end of the nursery is its end."""
    os.setsid()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # Whatever it starts stays below it, also when what started that has ended: the gateway asks whose process calls.
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        if os.getppid() != nursery:
            raise RuntimeError("the nursery ended before its child began")
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for target, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, stdout, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, target)
        os.close(opened)
    keep = listener.fileno()
    os.closerange(3, keep)
    os.closerange(keep + 1, 65_536)
    # What the parent read before the fork must not be replayed, and output is by line so that a kill loses little.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def main() -> None:
    # Answers go out on the real stdout; whatever a framework prints while it loads must not mix with them.
    answers = os.dup(1)
    os.dup2(2, 1)
    preloaded = [name for name in FRAMEWORKS if importlib.import_module(name)]
    gc.collect()
    gc.freeze()
    nursery = Nursery(answers)
    nursery.say({"ready": True, "preloaded": preloaded})
    nursery.run(0)


if __name__ == "__main__":
    main()
