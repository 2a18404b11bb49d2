"""The last trusted program before a sandboxed command: takes away what can be taken away, and becomes the command.

    python -I -S launcher.py '{"command": […], …}'        (see `Launch`)

Stands on the standard library alone, because inside a sandbox there may be nothing else. With `keep` it stays, as the parent of
whatever the command leaves behind, and ends all of it; so it does when its standard input closes, that is, when the kernel ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn, TypedDict

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP = 1, 8, 22
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 36, 38, 47
_CAP_DAC_READ_SEARCH = 2
#: Said by the launcher alone, where the command was never started.
BROKEN = 125


class Launch(TypedDict):
    """What the launcher is told."""

    command: list[str]
    cwd: str
    environment: dict[str, str]
    #: `resource` name -> limit, soft and hard.
    limits: dict[str, int]
    #: The user to become; None to stay who it is.
    uid: int | None
    #: Reads through folders closed to that user; only where Landlock says what may be read.
    reach: bool
    #: Hex of the system call filter.
    filter: str
    #: Where `confine.py` lies, what may be read and written; None where the file system is the sandbox's own.
    confine: dict[str, Any] | None
    keep: bool
    #: Written to at the last moment before the command.
    started: int


def main() -> int:
    launch: Launch = json.loads(sys.argv[1])
    if not launch["keep"]:
        _become(launch)
    return _keep(launch)


# ---------------------------------------------------------------------- becoming the command


def _become(launch: Launch) -> NoReturn:
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        os.chdir(launch["cwd"])
        os.umask(0o022)
        os.set_inheritable(launch["started"], False)
        if launch["uid"] is not None:
            _become_nobody(libc, launch["uid"], reach=launch["reach"])
        for name, limit in launch["limits"].items():
            _limit(getattr(resource, name), limit)
        if launch["confine"] is not None:
            _confine(**launch["confine"])
        _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _filter(libc, bytes.fromhex(launch["filter"]))
        os.write(launch["started"], b"1")
        os.execve(launch["command"][0], launch["command"], launch["environment"])  # noqa: S606
    except BaseException as error:  # noqa: BLE001 (nothing of this program may go on as if it were the command)
        os.write(2, f"sandbox: {type(error).__name__}: {error}\n".encode())
    os._exit(BROKEN)


def _become_nobody(libc: ctypes.CDLL, uid: int, *, reach: bool) -> None:
    if reach:
        _checked(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if reach:
        bit = 1 << _CAP_DAC_READ_SEARCH
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        _checked(libc.capset(header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)))
        _checked(libc.prctl(_PR_CAP_AMBIENT, 2, _CAP_DAC_READ_SEARCH, 0, 0))


def _limit(which: int, wanted: int) -> None:
    hard = resource.getrlimit(which)[1]
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    # Processor time ends with a signal of its own first, so that the end can be told from a kill.
    resource.setrlimit(which, (max(most - 1, 1) if which == resource.RLIMIT_CPU else most, most))


def _confine(module: str, readable: list[str], writable: list[str]) -> None:
    found = importlib.util.spec_from_file_location("confine", module)
    assert found is not None and found.loader is not None
    confine = importlib.util.module_from_spec(found)
    found.loader.exec_module(confine)
    said: str = confine.confine(readable=[*map(Path, readable)], writable=[*map(Path, writable)], connect_port=None)
    if said.startswith("none"):
        raise RuntimeError(said)


def _filter(libc: ctypes.CDLL, program: bytes) -> None:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))

    _checked(libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(Program(len(program) // 8, program)), 0, 0))


def _checked(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


# ---------------------------------------------------------------------- keeping it, where there is no namespace that does


def _keep(launch: Launch) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
    child = os.fork()
    if child == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        _become(launch)
    os.close(launch["started"])
    status: int | None = None
    while status is None and not select.select([0], [], [], 0.01)[0]:
        done, waited = os.waitpid(-1, os.WNOHANG)
        if done == child:
            status = waited
    _end_the_rest(launch["uid"])
    if status is None:
        return 128 + signal.SIGKILL
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _end_the_rest(uid: int | None) -> None:
    """Ends every process below this one. They may be making new ones all the while: first all are stopped, then all are killed."""
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        if uid is not None:
            _kill_all_of(uid)
        stopped: set[int] = set()
        while fresh := {pid for pid in descendants(os.getpid()) if pid not in stopped}:
            for pid in fresh:
                _signal(pid, signal.SIGSTOP)
            stopped |= fresh
        for pid in stopped:
            _signal(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        time.sleep(0.005)


def _kill_all_of(uid: int) -> None:
    """Every process of that user at once: it is nobody else's."""
    helper = os.fork()
    if helper == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        os._exit(0)
    os.waitpid(helper, 0)


def _signal(pid: int, which: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, which)


def descendants(pid: int) -> list[int]:
    """Every process below that one, as far as it can be seen now. Dead ones that nobody has waited for are among them."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for thread in _listed(f"/proc/{waiting.pop()}/task"):
            with contextlib.suppress(OSError):
                born = [int(word) for word in Path(thread, "children").read_text().split()]
                found += born
                waiting += born
    return found


def _listed(folder: str) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(folder)]
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())
