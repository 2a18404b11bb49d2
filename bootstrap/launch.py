"""`./elf up`: starts the kernel as a process of its own and shows its progress until it serves."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from types import FrameType
from typing import Any

from rich.console import Console

from bootstrap.home import Home, HomeUnusable
from bootstrap.model_server import with_model_name
from bootstrap.settings import Settings

PROGRESS_FD = "ELF_PROGRESS_FD"
#: No step of a start takes so long; a team that does not come up is given up earlier.
SILENT_S = 300.0


def launch(settings: Settings, *, detach: bool, console: Console) -> int:
    """Starts the company unless it runs, and returns the exit status: 0 once it serves (or, attached, once it has ended)."""
    home = Home(settings.home)
    if kernel := home.kernel():
        console.print(f"The company already runs: http://127.0.0.1:{kernel['port']} (home {home.path})", markup=False)
        return 0
    # All that can be refused is refused before anything is made.
    check_port(settings.port)
    settings = with_model_name(settings)
    home.prepare()
    kernel_process, progress = start_kernel(settings, home)
    try:
        ready = follow(progress, console)
    except KeyboardInterrupt:
        ready = False
    if not ready:
        _end(kernel_process)
        return 2
    _welcome(settings, home, console, detach=detach)
    return 0 if detach else _attend(kernel_process, console)


def start_kernel(settings: Settings, home: Home) -> tuple[subprocess.Popen[bytes], int]:
    """The kernel's process, and a descriptor to read its progress from."""
    read_end, write_end = os.pipe()
    environment = settings.environment(os.environ) | {
        "PYTHONPATH": str(settings.checkout),
        PROGRESS_FD: str(write_end),
    }
    with home.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bootstrap.serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=settings.checkout,
            env=environment,
            pass_fds=(write_end,),
            # Its own session: Ctrl-C is for us to pass on, and a closed terminal does not end a detached company.
            start_new_session=True,
        )
    os.close(write_end)
    return process, read_end


def follow(progress: int, console: Console, silent_s: float = SILENT_S) -> bool:
    """Prints the kernel's steps as they end. True once it serves; False if it ended, gave up or fell silent, after saying so."""
    try:
        for line in _lines(progress, silent_s):
            event: dict[str, Any] = json.loads(line)
            if "failed" in event:
                console.print(event["failed"], style="red", markup=False)
                return False
            if event.get("ready"):
                return True
            console.print(f"  ✓ {event['step']:<34} {event['seconds']:6.2f} s", markup=False)
    except TimeoutError:
        said = (
            f"The company has said nothing for {silent_s:.0f} s, and is ended; log/kernel.log in its home may say why."
        )
        console.print(said, style="red", markup=False)
        return False
    finally:
        os.close(progress)
    console.print("The company ended before it served; its log says why.", style="red")
    return False


def _lines(descriptor: int, silent_s: float) -> Generator[bytes]:
    """Whole lines until the other end closes. Raises `TimeoutError` when nothing comes for so long."""
    held = b""
    while select.select([descriptor], [], [], silent_s)[0]:
        piece = os.read(descriptor, 65536)
        if not piece:
            return
        *whole, held = (held + piece).split(b"\n")
        yield from whole
    raise TimeoutError


def check_port(port: int) -> None:
    """Raises `HomeUnusable` if something else listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            free = "ELF_PORT=7171 ./elf up" if port != 7171 else "another ELF_PORT"
            raise HomeUnusable(f"port {port} is taken by another program; choose another one: {free}") from error


def _welcome(settings: Settings, home: Home, console: Console, *, detach: bool) -> None:
    console.print(f"\nThe company serves at {settings.address} (home {home.path})", markup=False)
    console.print('Tell the CEO what you need:   ./elf say "We need a team that writes our blog posts"', markup=False)
    console.print("See what is proposed:         ./elf changes      then ./elf show N, ./elf approve N", markup=False)
    ending = "./elf down" if detach else "Ctrl-C"
    console.print(f"How is everybody:             ./elf status       Stop: {ending}", markup=False)


def _attend(process: subprocess.Popen[bytes], console: Console) -> int:
    """Stays until the kernel ends; Ctrl-C and SIGTERM end it in order."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    try:
        status = process.wait()
    except KeyboardInterrupt:
        console.print("\nStopping.")
        status = _end(process)
    return 0 if status in (0, -signal.SIGTERM) else 1


def _end(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        return process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
