"""A tool server that is a program of the catalogue: a process of its own, shut in, with nothing of the kernel's environment.

JSON lines over its standard streams. It is started at the first question and again after it ended; a line that is too long ends it.
Questions wait in line, and how long each of them may take counts from its turn: who is at work is not ill.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp.types import Tool

from mcp_servers.gateway.program_log import ProgramLog
from mcp_servers.gateway.rpc_server import Busy, RpcServer, UpstreamFailed, answer_to, greeting, listed_by, question

_PATH = "/usr/local/bin:/usr/bin:/bin"
#: How long the last words of a program that ended are waited for.
_LAST_WORDS_SECONDS = 1.0


class StdioServer(RpcServer):
    """`secrets` gives the variables it needs. `folder` is its own, made at its start. One question at a time (`OneAtATime`).

    `timeout_seconds` is how long its start may take, how long a question may wait for its turn, and how long for its answer.
    `log` keeps what it says on its standard error; without one that goes nowhere.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        secrets: Callable[[], Mapping[str, str]],
        *,
        timeout_seconds: float,
        max_bytes: int,
        log: ProgramLog | None = None,
    ) -> None:
        self.name = name
        self._command, self._folder, self._secrets = tuple(command), folder, secrets
        self._timeout, self._max_bytes, self._log = timeout_seconds, max_bytes, log
        self._ids = itertools.count(1)
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._killed: list[asyncio.subprocess.Process] = []
        self._starting = False
        self._listening: set[asyncio.Task[None]] = set()

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        async with self._asking(self._timeout) as process:
            return await self._exchange(process, method, params)

    async def look(self, seconds: float) -> list[Tool]:
        async with self._asking(seconds) as process:
            return await listed_by(lambda method, params: self._exchange(process, method, params))

    @property
    def doing(self) -> str | None:
        if self._starting:
            return "is starting"
        return "is at work on another call" if self._turn.locked() else None

    async def close(self) -> None:
        self._kill()
        for process in self._killed:
            await process.wait()
        if listening := set(self._listening):
            _, unfinished = await asyncio.wait(listening, timeout=_LAST_WORDS_SECONDS)
            for task in unfinished:
                task.cancel()

    @asynccontextmanager
    async def _asking(self, seconds: float) -> AsyncGenerator[asyncio.subprocess.Process]:
        """The running program, for one question of so many seconds. Raises `Busy`, `UpstreamFailed`, `TimeoutError`."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Busy(f"is at work on other calls, and had no turn for this one in {self._timeout:g} s") from error
        try:
            process = await self._running()
            async with asyncio.timeout(seconds):
                yield process
        except (TimeoutError, asyncio.CancelledError, UpstreamFailed, OSError):
            # What it was doing is not known any more: the next question finds a fresh one.
            self._kill()
            raise
        finally:
            self._turn.release()

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        self._starting = True
        try:
            async with asyncio.timeout(self._timeout):
                return await self._started()
        except TimeoutError as error:
            raise UpstreamFailed(f"its program did not start in {self._timeout:g} s{self._words}") from error
        finally:
            self._starting = False

    async def _started(self) -> asyncio.subprocess.Process:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        environment = {"PATH": _PATH, "HOME": str(self._folder), "LANG": "C.UTF-8", **self._secrets()}
        launcher = [sys.executable, "-m", "mcp_servers.gateway.confined", str(self._folder), *self._command]
        process = self._process = await asyncio.create_subprocess_exec(
            *launcher,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if self._log else asyncio.subprocess.DEVNULL,
            env=environment,
            cwd=Path(__file__).parents[2],
            limit=self._max_bytes,
            start_new_session=True,
        )
        if self._log is not None and process.stderr is not None:
            listening = asyncio.create_task(self._log.follow(process.stderr))
            self._listening.add(listening)
            listening.add_done_callback(self._listening.discard)
        await self._exchange(process, "initialize", greeting())
        await self._write(process, question(None, "notifications/initialized", {}))
        return process

    async def _exchange(
        self, process: asyncio.subprocess.Process, method: str, params: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        call_id = next(self._ids)
        await self._write(process, question(call_id, method, params))
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError as error:
                raise UpstreamFailed(f"its answer has more than the {self._max_bytes} bytes allowed") from error
            if not line:
                raise self._ended()
            if line.strip() and (found := answer_to(call_id, line)) is not None:
                return found

    async def _write(self, process: asyncio.subprocess.Process, message: bytes) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(message + b"\n")
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._ended() from error

    def _ended(self) -> UpstreamFailed:
        return UpstreamFailed(f"its program ended; it may be missing, or it cannot be shut in here{self._words}")

    @property
    def _words(self) -> str:
        """Where its own words are, at the end of a sentence."""
        return f"; what it said is in {self._log.shown}" if self._log else ""

    def _kill(self) -> None:
        """The program and all it started: they are one session."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            # Whoever closes the server waits for their ends.
            self._killed = [*(one for one in self._killed if one.returncode is None), process]
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
