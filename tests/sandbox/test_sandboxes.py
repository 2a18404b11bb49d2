"""One suite for the port, run by every adapter this machine has; and each attack seen to succeed where there is no sandbox."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mcp_servers.sandbox.bubblewrap import Bubblewrap
from mcp_servers.sandbox.choice import Chosen, choose, self_test
from mcp_servers.sandbox.landlocked import Landlocked
from mcp_servers.sandbox.port import Job, Limits, Outcome, Sandbox, SandboxFailed
from tests.doubles.open_field import OpenField

pytestmark = pytest.mark.rows("F105")

LIMITS = Limits(
    wall_seconds=10,
    cpu_seconds=5,
    memory_bytes=200_000_000,
    address_bytes=2_000_000_000,
    processes=16,
    file_bytes=2_000_000,
    total_bytes=8_000_000,
    total_files=100,
    output_bytes=200_000,
)


@pytest.fixture(params=[Bubblewrap, Landlocked], ids=["bubblewrap", "landlock"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    try:
        return request.param.found()
    except SandboxFailed as error:
        pytest.skip(str(error))


def run(sandbox: Sandbox, code: str, *arguments: object, limits: Limits = LIMITS, **files: bytes) -> Outcome:
    command = (sys.executable, "-I", "-c", code, *map(str, arguments))
    return sandbox.run(Job(command, {"main.txt": b"here", **files}, limits=limits))


# ---------------------------------------------------------------------- the port's promises


def test_a_command_reads_its_tree_and_says_what_it_has_to_say(sandbox: Sandbox) -> None:
    done = run(sandbox, "import sys; print(open('main.txt').read()); print('so', file=sys.stderr)")
    assert (done.ended, done.status, done.stdout, done.stderr) == ("exited", 0, b"here\n", b"so\n")


def test_it_finds_the_packages_of_this_interpreter(sandbox: Sandbox) -> None:
    assert run(sandbox, "import pydantic, pytest").ok


def test_its_exit_status_and_its_death_by_a_signal_are_told(sandbox: Sandbox) -> None:
    assert run(sandbox, "raise SystemExit(7)").status == 7
    assert run(sandbox, "import os; os.kill(os.getpid(), 9)").status == 128 + 9


def test_it_writes_where_it_may_and_finds_an_environment_of_two_names(sandbox: Sandbox) -> None:
    done = run(sandbox, "import os; open(os.environ['TMPDIR'] + '/x', 'w').write('y'); print(sorted(os.environ))")
    assert done.stdout == b"['HOME', 'LANG', 'TMPDIR']\n", done


def test_runs_do_not_see_each_other(sandbox: Sandbox) -> None:
    code = "import os; d = os.environ['TMPDIR']; print('left' in os.listdir(d)); open(d + '/left', 'w')"
    assert [run(sandbox, code).stdout for _ in range(2)] == [b"False\n", b"False\n"]


def test_children_and_threads_work(sandbox: Sandbox) -> None:
    code = """
import asyncio, subprocess, sys, threading
threads = [threading.Thread(target=print, args=("thread",)) for _ in range(3)]
[t.start() for t in threads], [t.join() for t in threads]
subprocess.run([sys.executable, "-I", "-c", "print('child')"], check=True)
asyncio.run(asyncio.sleep(0))
"""
    done = run(sandbox, code)
    assert done.ok, done
    assert b"child" in done.stdout


def test_a_sandbox_that_cannot_be_set_up_is_not_taken_for_a_command_that_failed(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    with pytest.raises(SandboxFailed):
        sandbox.run(Job(("/no/such/program",), {}))
    with pytest.raises(SandboxFailed, match="leads out of the tree"):
        sandbox.run(Job((sys.executable, "-c", ""), {"../x": b""}))
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(SandboxFailed, match="No permissions"):
        run(Bubblewrap(str(broken)), "pass")


def test_nothing_of_a_run_is_left_on_the_disk(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a company's home does: it lets nobody but its owner through.
    tmp_path.chmod(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = run(
        sandbox,
        "import os; d = os.environ['TMPDIR']\nfor n in range(40): d += '/d'; os.mkdir(d, 0o700)\nos.umask(0o777); os.mkdir(d + '/shut')",
    )
    assert done.ok, done
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- attacks


@dataclass(frozen=True)
class World:
    """What an attacker would like to reach."""

    folder: Path
    port: int
    victim: int

    @property
    def arguments(self) -> tuple[str, str, str]:
        return str(self.folder), str(self.port), str(self.victim)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    (folder / "key").write_text("the-key-of-the-company")
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        victim = subprocess.Popen(
            ["sleep", "60"], env={"PATH": os.environ["PATH"], "ELF_KEY": "the-key-of-the-company"}
        )
        yield World(folder, listener.getsockname()[1], victim.pid)
        victim.kill()
        victim.wait()


HEAD = "import ctypes, os, socket, sys, time\nfolder, port, victim = sys.argv[1:]\nwork = os.environ['TMPDIR']\n"

#: Each prints `got in` where it succeeds. `folder` is a stranger's, `work` its own.
ATTACKS = {
    "connects to this machine": "socket.create_connection(('127.0.0.1', int(port)), 2)",
    "opens a socket of another kind": "socket.socket(socket.AF_UNIX); socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "reads a key in the home": "assert 'company' in open(folder + '/key').read()",
    "reads another process's environment": "assert b'company' in open(f'/proc/{victim}/environ', 'rb').read()",
    "reads another process's memory": "open(f'/proc/{victim}/mem', 'rb').read(0)",
    "sees the kernel's environment": "assert os.environ['ELF_SECRET_FOR_TEST']",
    "signals another process": "os.kill(int(victim), 0)",
    "changes another process's limits": "import resource; resource.prlimit(int(victim), resource.RLIMIT_NOFILE)",
    "writes into the home": "open(folder + '/new', 'w').write('x')",
    "makes a key readable for all": "os.chmod(folder + '/key', 0o644)",
    "changes the owner of a file": "os.chown(folder + '/key', os.getuid(), os.getgid())",
    "writes through a link": "os.symlink(folder, work + '/out'); open(work + '/out/new', 'w').write('x')",
    "reads through a link": "os.symlink(folder + '/key', work + '/k'); assert open(work + '/k').read()",
    "links a file in from outside": "os.link(folder + '/key', work + '/k'); open(work + '/k').read()",
    "climbs out by dots": "assert open('../' * 20 + folder.lstrip('/') + '/key').read()",
    "writes its own tree": "open('main.txt', 'w').write('other'); open('new.txt', 'w')",
    "writes to the root": "open('/elf-was-here', 'w').close(); os.unlink('/elf-was-here')",
    "writes to shared memory": "open('/dev/shm/elf-was-here', 'w').write('x'); os.unlink('/dev/shm/elf-was-here')",
    "keeps memory without a file": "os.memfd_create('x')",
    "traces its own child": "assert ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_gets_out(sandbox: Sandbox, world: World, attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELF_SECRET_FOR_TEST", "the-key-of-the-company")
    done = run(sandbox, f"{HEAD}{ATTACKS[attack]}\nprint('got in')", *world.arguments)
    assert b"got in" not in done.stdout, attack
    assert done.status != 0
    assert not (world.folder / "new").exists()


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_succeeds_without_a_sandbox(world: World, attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELF_SECRET_FOR_TEST", "the-key-of-the-company")
    done = run(OpenField(), f"{HEAD}{ATTACKS[attack]}\nprint('got in')", *world.arguments)
    if b"got in" not in done.stdout and os.geteuid() != 0:
        pytest.skip(f"only root could do that here: {done.stderr.decode()[-200:]}")
    assert b"got in" in done.stdout, done.stderr.decode()


#: Each prints `all of it` where nothing stops it. Small enough to do no harm where nothing does.
EXCESSES = {
    "fork bomb": ("for _ in range(60):\n  if not os.fork(): time.sleep(1); os._exit(0)", {"processes", "exited"}),
    "thread bomb": (
        "import threading\nfor _ in range(60): threading.Thread(target=time.sleep, args=(1,)).start()",
        {"processes", "exited"},
    ),
    "memory bomb": ("held = []\nfor _ in range(40): held.append(b'x' * 10_000_000); time.sleep(0.02)", {"memory"}),
    "memory bomb by many": (
        "for _ in range(8):\n  if not os.fork(): held = b'x' * 60_000_000; time.sleep(0.5); os._exit(0)\ntime.sleep(0.5)",
        {"memory"},
    ),
    "one large allocation": ("bytearray(600_000_000)[0]", {"exited"}),
    "endless loop": ("end = time.process_time() + 1.5\nwhile time.process_time() < end: pass", {"cpu"}),
    "long sleep": ("time.sleep(1)", {"wall"}),
    "huge output": ("for _ in range(40): print('x' * 10_000)", {"output"}),
    "one large file": ("open(work + '/f', 'wb').write(b'x' * 4_000_000)", {"exited"}),
    "many files": (
        "for n in range(400): open(work + f'/{n}', 'w').close(); time.sleep(0.001)\ntime.sleep(0.3)",
        {"files"},
    ),
    "many bytes": (
        "for n in range(20):\n  open(work + f'/{n}', 'wb').write(os.urandom(1_000_000))\n  time.sleep(0.02)\ntime.sleep(0.3)",
        {"files", "exited"},
    ),
}
TIGHT: dict[str, dict[str, Any]] = {
    "one large allocation": {"address_bytes": 400_000_000},
    "endless loop": {"cpu_seconds": 1},
    "long sleep": {"wall_seconds": 0.5},
}


@pytest.mark.parametrize("excess", EXCESSES)
def test_every_excess_comes_to_an_end(sandbox: Sandbox, world: World, excess: str) -> None:
    code, ends = EXCESSES[excess]
    limits = replace(LIMITS, **TIGHT.get(excess, {}))
    began = time.monotonic()
    done = run(sandbox, f"{HEAD}{code}\nprint('all of it')", *world.arguments, limits=limits)
    assert b"all of it" not in done.stdout, done.ended
    assert done.ended in ends, done
    assert not done.ok
    assert time.monotonic() - began < 9


@pytest.mark.parametrize("excess", EXCESSES)
def test_every_excess_goes_on_without_a_sandbox(world: World, excess: str) -> None:
    assert b"all of it" in run(OpenField(), f"{HEAD}{EXCESSES[excess][0]}\nprint('all of it')", *world.arguments).stdout


LEAVE = """
if not os.fork():
    os.setsid()
    if not os.fork():
        null = os.open('/dev/null', os.O_RDWR)
        for number in (0, 1, 2): os.dup2(null, number)
        os.execv(sys.executable, [sys.executable, '-I', '-c', 'import time; time.sleep(5)', folder])
    os._exit(0)
os.wait()
"""


def _left_behind(folder: Path) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_no_process_is_left_behind(sandbox: Sandbox, world: World) -> None:
    assert run(sandbox, f"{HEAD}{LEAVE}\nprint('gone')", *world.arguments).stdout == b"gone\n"
    deadline = time.monotonic() + 2
    while (left := _left_behind(world.folder)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left == []


def test_a_process_is_left_behind_without_a_sandbox(world: World) -> None:
    run(OpenField(), f"{HEAD}{LEAVE}", *world.arguments)
    time.sleep(0.1)
    left = _left_behind(world.folder)
    assert left
    for pid in left:
        os.kill(pid, 9)


def test_a_run_ends_with_the_process_that_started_it(sandbox: Sandbox, world: World) -> None:
    code = (
        "import sys; from mcp_servers.sandbox import bubblewrap, landlocked; from mcp_servers.sandbox.port import Job; "
        f"s = bubblewrap.Bubblewrap.found() if {isinstance(sandbox, Bubblewrap)} else landlocked.Landlocked.found(); "
        "s.run(Job((sys.executable, '-I', '-c', 'import time; time.sleep(30)', sys.argv[1]), {}))"
    )
    kernel = subprocess.Popen([sys.executable, "-c", code, str(world.folder)], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 15
    # The starter names the folder too, and so does the launcher.
    while len(_left_behind(world.folder)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    kernel.kill()
    kernel.wait()
    deadline = time.monotonic() + 5
    while (left := _left_behind(world.folder)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


# ---------------------------------------------------------------------- choosing one


def test_a_sandbox_proves_that_it_holds_before_it_is_used(sandbox: Sandbox) -> None:
    self_test(sandbox)
    assert choose([lambda: sandbox]) == Chosen(sandbox, sandbox.name)


def test_a_sandbox_with_a_hole_is_not_used_and_its_holes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = choose([OpenField])
    assert chosen.sandbox is None
    assert "reads a file outside" in chosen.said
    assert "reaches the network" in chosen.said


def test_where_there_is_none_people_learn_what_to_install() -> None:
    def missing() -> Sandbox:
        raise SandboxFailed("bubblewrap is not installed; install it (apt-get install bubblewrap)")

    assert choose([missing]).said == "none: bubblewrap is not installed; install it (apt-get install bubblewrap)"


def test_the_next_one_is_taken_where_the_first_does_not_work(sandbox: Sandbox, tmp_path: Path) -> None:
    chosen = choose([lambda: Bubblewrap(str(tmp_path / "bwrap")), lambda: sandbox])
    assert chosen.sandbox is sandbox
