"""Which sandbox this machine has: the first whose self-test holds. An adapter that lets anything through is no sandbox and is not used."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp_servers.sandbox.bubblewrap import Bubblewrap
from mcp_servers.sandbox.landlocked import Landlocked
from mcp_servers.sandbox.port import Job, Limits, Sandbox, SandboxFailed

ADAPTERS: tuple[Callable[[], Sandbox], ...] = (Bubblewrap.found, Landlocked.found)

_LIMITS = Limits(wall_seconds=20, cpu_seconds=10, processes=16, total_bytes=4_000_000, total_files=100)

#: Run inside. Tries what must fail, and says what did not.
_PROBE = r"""
import json, os, socket, sys
folder, pid, port = sys.argv[1:]
def connects():
    with socket.create_connection(("127.0.0.1", int(port)), 2): pass
def writes(where):
    with open(where, "w") as file: file.write("x")
tries = {
    "reads a file outside": lambda: open(folder + "/canary").read(),
    "writes outside": lambda: writes(folder + "/written"),
    "writes its own tree": lambda: writes("written"),
    "reads another process's environment": lambda: open("/proc/%s/environ" % pid, "rb").read(),
    "signals another process": lambda: os.kill(int(pid), 0),
    "reaches the network": connects,
    "is root": lambda: os.setuid(0) or None,
    "changes the mode of a file": lambda: os.chmod("probe.py", 0o777),
}
held = []
for name, attempt in tries.items():
    try: attempt()
    except Exception: continue
    held.append(name)
writes(os.environ["TMPDIR"] + "/mine")
print(json.dumps({"holes": held}))
"""


@dataclass(frozen=True)
class Chosen:
    """The sandbox in use, or None; `said` is for people: which it is, or why there is none and what to install."""

    sandbox: Sandbox | None
    said: str


def choose(adapters: Sequence[Callable[[], Sandbox]] = ADAPTERS) -> Chosen:
    """Tries them in order. Takes a fraction of a second."""
    reasons: list[str] = []
    for find in adapters:
        try:
            sandbox = find()
            self_test(sandbox)
        except SandboxFailed as error:
            reasons.append(str(error))
            continue
        return Chosen(sandbox, sandbox.name)
    return Chosen(None, "none: " + "; ".join(reasons))


def self_test(sandbox: Sandbox) -> None:
    """Runs a program in it that tries to get out. `SandboxFailed` says what it managed, or that it could not run at all."""
    with _bait() as (folder, port):
        job = Job(
            (sys.executable, "-I", "probe.py", str(folder), str(os.getpid()), str(port)),
            {"probe.py": _PROBE.encode()},
            limits=_LIMITS,
        )
        done = sandbox.run(job)
    if not done.ok:
        said = done.stderr.decode("utf-8", "backslashreplace").strip()[-300:]
        raise SandboxFailed(f"{sandbox.name}: a plain program cannot run in it ({done.ended}, {done.status}: {said})")
    if holes := json.loads(done.stdout)["holes"]:
        raise SandboxFailed(f"{sandbox.name}: it does not hold here, a program in it {', '.join(holes)}")


@contextmanager
def _bait() -> Generator[tuple[Path, int]]:
    """What a program would like to reach: a folder with a file, and a port that answers."""
    with tempfile.TemporaryDirectory(prefix="elf-bait-") as folder, contextlib.closing(socket.socket()) as listener:
        Path(folder, "canary").write_text(secrets.token_hex(16))
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield Path(folder), int(listener.getsockname()[1])
