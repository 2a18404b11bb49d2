"""What a call costs in CPU on its way through the gateway, against the same call made directly: python -m bootstrap.bench_calls

Four processes: a model provider's stub, a tool server (the MCP SDK's own), the gateway with its real database, law and catalogue, and
this one as the client. Blocks of direct and of passing calls take turns, and each figure is the median of its blocks, so that what
else the machine does falls on both. Counted is what the scheduler says that each process's threads ran.

- A tool call's added CPU: gateway and tool server together, less the tool server when it is called directly.
- A model call's added CPU: gateway and client together, less the client when it calls the provider directly.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import psutil

#: Many short blocks: a machine that gets busy, or idle again, does so between two rounds rather than within one.
ROUNDS, CALLS, AT_ONCE = 21, 40, 8
_ASK = {"model": "default", "messages": [{"role": "user", "content": "Say something short, please. " * 20}]}
_TEXT = "x" * 200
_MCP = {"accept": "application/json, text/event-stream"}

Call = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Stage:
    """Where everything is served, and as whom the gateway is called."""

    provider: str
    tools: str
    gateway: str
    tools_process: int
    gateway_process: int
    token: str


def measure(rounds: int = ROUNDS, calls: int = CALLS) -> list[dict[str, Any]]:
    """Figures as `./elf bench` prints them: milliseconds of CPU a call."""
    with _stage() as stage:
        return asyncio.run(_measured(stage, rounds, calls))


async def _measured(stage: Stage, rounds: int, calls: int) -> list[dict[str, Any]]:
    ours = psutil.Process().pid
    async with aiohttp.ClientSession(trust_env=False) as client:
        model = await _compared(
            _model_call(client, stage.provider, {}),
            _model_call(client, stage.gateway, {"authorization": f"Bearer {stage.token}"}),
            (ours,),
            stage.gateway_process,
            (rounds, calls),
        )
        tool = await _compared(
            _tool_call(client, stage.tools, "echo", _MCP),
            _tool_call(client, stage.gateway, "outside__echo", {**_MCP, "authorization": f"Bearer {stage.token}"}),
            (stage.tools_process,),
            stage.gateway_process,
            (rounds, calls),
        )
    return [*_figures("tool call", "its server", tool, 1.0), *_figures("model call", "its client", model, 1.5)]


@dataclass(frozen=True)
class _Cost:
    """Milliseconds of CPU a call, one call at a time or `AT_ONCE`."""

    direct: float
    added: float
    gateway: float


async def _compared(
    direct: Call, through: Call, others: tuple[int, ...], gateway: int, size: tuple[int, int]
) -> dict[int, _Cost]:
    rounds, calls = size
    found: dict[int, _Cost] = {}
    for at_once in (1, AT_ONCE):
        seen: list[tuple[float, float, float]] = []
        for number in range(rounds + 1):
            plain, _ = await _block(direct, calls, at_once, others, gateway)
            passed, alone = await _block(through, calls, at_once, others, gateway)
            # The first round warms up.
            seen += [(plain, passed + alone - plain, alone)] if number else []
        found[at_once] = _Cost(*(statistics.median(column) for column in zip(*seen, strict=True)))
    return found


async def _block(call: Call, calls: int, at_once: int, others: tuple[int, ...], gateway: int) -> tuple[float, float]:
    """CPU a call: of the other processes, and of the gateway's."""

    async def worker() -> None:
        for _ in range(calls // at_once):
            await call()

    before = [sum(map(_cpu, others)), _cpu(gateway)]
    await asyncio.gather(*(worker() for _ in range(at_once)))
    spent = [sum(map(_cpu, others)) - before[0], _cpu(gateway) - before[1]]
    return spent[0] / calls, spent[1] / calls


def _cpu(process: int) -> float:
    """Milliseconds that the process's threads have run, to the nanosecond."""
    tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e6


def _model_call(client: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> Call:
    numbers = count()
    headers = {**headers, "x-elf-purpose": "member-work", "x-elf-run": "none"}

    async def call() -> None:
        body = {**_ASK, "seed": next(numbers)}
        async with client.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
            assert (await answer.json())["choices"], answer.status

    return call


def _tool_call(client: aiohttp.ClientSession, url: str, tool: str, headers: Mapping[str, str]) -> Call:
    params = {"name": tool, "arguments": {"text": _TEXT}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}

    async def call() -> None:
        async with client.post(f"{url}/mcp", json=body, headers=headers) as answer:
            said = await answer.json()
            assert said["result"]["content"][0]["text"] == _TEXT, said

    return call


def _figures(what: str, whose: str, costs: Mapping[int, _Cost], reach: float) -> list[dict[str, Any]]:
    one, many = costs[1], costs[AT_ONCE]
    return [
        _figure(f"{what} made directly: CPU of {whose}", one.direct, None),
        _figure(f"{what} through the gateway: CPU added", one.added, reach),
        _figure(f"{what} through the gateway: its process alone", one.gateway, None),
        _figure(f"{what} through the gateway, {AT_ONCE} at once: CPU added", many.added, reach),
    ]


def _figure(what: str, value: float, reach: float | None) -> dict[str, Any]:
    return {"what": what, "value": round(value, 3), "unit": "ms", "reach": reach}


@contextmanager
def _stage() -> Generator[Stage]:
    with (
        tempfile.TemporaryDirectory() as folder,
        _process("provider") as (_, said),
        _process("tools") as (tools, offered),
        _process("gateway", folder, said["url"], offered["url"]) as (gateway, opened),
    ):
        urls = (said["url"], offered["url"], opened["url"])
        yield Stage(*urls, tools.pid, gateway.pid, opened["token"])


@contextmanager
def _process(kind: str, *arguments: str) -> Generator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A process of the measurement, and what it says of itself once it serves."""
    command = [sys.executable, "-m", "bootstrap.bench_stage", kind, *arguments]
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the measurement's {kind} did not start; run {' '.join(command)} to see why")
        yield process, json.loads(line)
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(), indent=2) + "\n")
