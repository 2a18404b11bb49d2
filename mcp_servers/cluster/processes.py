"""Teams as local processes, forked from the nursery. One nursery, one process a deployment; none outlives the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_servers.cluster.port import ClusterError, Log, Running
from teams.runtime.deployment import Deployment

WARM_UP_S = 90.0
REQUEST_S = 15.0
STOP_GRACE_S = 3.0
_LINE_LIMIT = 4_000_000
_TAIL_BYTES = 512_000

#: All that a team's environment may hold. What is not here (provider keys, database URLs, tokens) is not passed on.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
_QUIET = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "OTEL_SDK_DISABLED": "true",
    "ANONYMIZED_TELEMETRY": "false",
    "PYTHONUNBUFFERED": "1",
    "NO_COLOR": "1",
}


@dataclass
class _Child:
    running: Running
    pid: int


class LocalProcesses:
    """The cluster port on this machine. `code` is the checkout to run from, `home` holds logs and work folders."""

    def __init__(self, code: Path, home: Path) -> None:
        self._code = code
        self._home = home
        self._nursery: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._requests = 0
        self._children: dict[str, _Child] = {}
        self._endings: dict[str, str] = {}
        self._warming = asyncio.Lock()

    async def warm_up(self) -> None:
        """Starts the nursery if it does not run and waits until the frameworks are loaded. Raises `ClusterError`."""
        async with self._warming:
            if (
                self._nursery is not None
                and self._nursery.returncode is None
                and self._reader
                and not self._reader.done()
            ):
                return
            log_dir = self._home / "log"
            log_dir.mkdir(parents=True, exist_ok=True)
            self._nursery = await self._launch(log_dir / "nursery.log")
            assert self._nursery.stdout is not None
            try:
                first = await asyncio.wait_for(self._nursery.stdout.readline(), WARM_UP_S)
            except TimeoutError:
                first = b""
            if not first or not json.loads(first).get("ready"):
                self._nursery.kill()
                raise ClusterError(
                    f"the process that starts teams did not come up; its log says why: {log_dir / 'nursery.log'}"
                )
            self._reader = asyncio.create_task(self._listen(self._nursery.stdout))

    async def _launch(self, log: Path) -> asyncio.subprocess.Process:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        scratch = self._home / "nursery"
        scratch.mkdir(exist_ok=True)
        environment |= _QUIET | {
            "PYTHONPATH": str(self._code),
            "HOME": str(scratch),
            "CREWAI_STORAGE_DIR": str(scratch),
        }
        with log.open("ab") as errors:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "teams.runtime.nursery",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=scratch,
                env=environment,
                limit=_LINE_LIMIT,
                # Ctrl-C in the terminal is the kernel's to handle; the nursery ends when its stdin closes.
                start_new_session=True,
            )

    async def start(self, deployment: Deployment) -> Running:
        if child := self._children.get(deployment.deployment_id):
            return child.running
        await self.warm_up()
        stdout, stderr = self._logs(deployment.team)
        for folder in (deployment.work_dir, deployment.told_dir):
            Path(folder).mkdir(parents=True, exist_ok=True)
        told = self._home / "run" / f"{deployment.deployment_id}.json"
        told.parent.mkdir(parents=True, exist_ok=True)
        _write_private(told, deployment.model_dump_json())
        try:
            answer = await self._ask(op="spawn", deployment=str(told), stdout=str(stdout), stderr=str(stderr))
        except ClusterError:
            told.unlink(missing_ok=True)
            raise
        running = Running(
            deployment_id=deployment.deployment_id,
            team=deployment.team,
            address=f"http://127.0.0.1:{answer['port']}",
            process=f"pid {answer['pid']}",
        )
        self._children[deployment.deployment_id] = _Child(running, answer["pid"])
        return running

    async def stop(self, deployment_id: str) -> None:
        if child := self._children.get(deployment_id):
            await self._ask(op="stop", pid=child.pid, grace=STOP_GRACE_S)

    def running(self) -> Mapping[str, Running]:
        return {id_: child.running for id_, child in self._children.items()}

    def team_by_pid(self) -> Mapping[int, str]:
        """Every live team process."""
        return {child.pid: child.running.team for child in self._children.values()}

    def ending(self, deployment_id: str) -> str | None:
        return self._endings.get(deployment_id)

    def log(self, team: str, lines: int) -> Log:
        conversation, diagnostics = self._logs(team)
        return Log(_tail(conversation, lines), _tail(diagnostics, lines))

    async def close(self) -> None:
        """Closes the nursery's stdin, which ends every child, and waits for it."""
        if self._nursery is None or self._nursery.stdin is None:
            return
        self._nursery.stdin.close()
        try:
            await asyncio.wait_for(self._nursery.wait(), STOP_GRACE_S + 3)
        except TimeoutError:
            self._nursery.kill()
            await self._nursery.wait()
        if self._reader:
            await self._reader

    async def _ask(self, **request: Any) -> dict[str, Any]:
        if self._nursery is None or self._nursery.stdin is None or self._nursery.returncode is not None:
            raise ClusterError("the process that starts teams has ended; it is started again with the next team")
        self._requests += 1
        number = self._requests
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._nursery.stdin.write(json.dumps({"id": number, **request}).encode() + b"\n")
            await self._nursery.stdin.drain()
            reply = await asyncio.wait_for(answer, REQUEST_S)
        except (TimeoutError, ConnectionError) as error:
            raise ClusterError("the process that starts teams does not answer") from error
        finally:
            self._waiting.pop(number, None)
        if "error" in reply:
            raise ClusterError(f"the process that starts teams refused: {reply['error']}")
        return reply

    async def _listen(self, stream: asyncio.StreamReader) -> None:
        """Reads the nursery's lines until it ends; then every child has ended with it."""
        while line := await stream.readline():
            message: dict[str, Any] = json.loads(line)
            if "exited" in message:
                self._forget(message["exited"], message["status"])
            elif (waiting := self._waiting.get(message["id"])) and not waiting.done():
                waiting.set_result(message)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result({"error": "it ended"})
        for child in list(self._children.values()):
            self._forget(child.pid, -signal.SIGKILL)

    def _forget(self, pid: int, status: int) -> None:
        for id_, child in list(self._children.items()):
            if child.pid == pid:
                self._endings[id_] = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
                del self._children[id_]

    def _logs(self, team: str) -> tuple[Path, Path]:
        folder = self._home / "teams" / team
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "conversation.jsonl", folder / "diagnostics.log"


def _write_private(path: Path, text: str) -> None:
    """Readable by the owner alone from its first moment; a left-over of an earlier try is replaced."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _tail(path: Path, lines: int) -> tuple[str, ...]:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        return tuple(file.read().decode(errors="replace").splitlines()[-lines:])
    return ()
