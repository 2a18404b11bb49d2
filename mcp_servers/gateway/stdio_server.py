"""A tool server that is a program of the catalogue: a process of its own, shut in, with nothing of the kernel's environment.

JSON lines over its standard streams. It is started at the first question and again after it ended; a line that is too long ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mcp_servers.gateway.rpc_server import RpcServer, UpstreamFailed, answer_to, greeting, question

_PATH = "/usr/local/bin:/usr/bin:/bin"


class StdioServer(RpcServer):
    """`secrets` gives the variables it needs. `folder` is its own, made at its start. One question at a time."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        secrets: Callable[[], Mapping[str, str]],
        *,
        timeout_seconds: float,
        max_bytes: int,
    ) -> None:
        self.name = name
        self._command, self._folder, self._secrets = tuple(command), folder, secrets
        self._timeout, self._max_bytes = timeout_seconds, max_bytes
        self._ids = itertools.count(1)
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout):
                    process = await self._running()
                    return await self._exchange(process, method, params)
            except (TimeoutError, asyncio.CancelledError, UpstreamFailed, OSError):
                # What it was doing is not known any more: the next question finds a fresh one.
                self._kill()
                raise

    async def close(self) -> None:
        process = self._process
        self._kill()
        if process is not None:
            await process.wait()

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        environment = {"PATH": _PATH, "HOME": str(self._folder), "LANG": "C.UTF-8", **self._secrets()}
        launcher = [sys.executable, "-m", "mcp_servers.gateway.confined", str(self._folder), *self._command]
        self._process = await asyncio.create_subprocess_exec(
            *launcher,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            cwd=Path(__file__).parents[2],
            limit=self._max_bytes,
            start_new_session=True,
        )
        await self._exchange(self._process, "initialize", greeting())
        await self._write(self._process, question(None, "notifications/initialized", {}))
        return self._process

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
                raise UpstreamFailed("its program ended; it may be missing, or it cannot be shut in on this machine")
            if line.strip() and (found := answer_to(call_id, line)) is not None:
                return found

    async def _write(self, process: asyncio.subprocess.Process, message: bytes) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(message + b"\n")
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise UpstreamFailed(
                "its program ended; it may be missing, or it cannot be shut in on this machine"
            ) from error

    def _kill(self) -> None:
        """The program and all it started: they are one session."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
