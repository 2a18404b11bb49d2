"""What a tool server's program says goes into a file of the company's home: found again, bounded, and without a secret."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.program_log import MAX_BYTES, MAX_BYTES_A_MINUTE, ProgramLog
from mcp_servers.gateway.redaction import MARK
from mcp_servers.gateway.upstreams import Upstreams
from mcp_servers.monitor.redact import Redactor
from tests.doubles.tool_world import FakeMain, directory, program

CALLER = Caller("devops", "lead", manager=True, deployment_id="d", kind="member")
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
SECRET = "s3cr3t-value-of-the-program"


@pytest.mark.rows("F38", "F76")
async def test_what_an_ended_program_said_is_in_the_file_that_its_problem_names(tmp_path: Path) -> None:
    servers, log = tmp_path / "servers", tmp_path / "log" / "program.log"
    spec, own = program(servers, credentials=[{"name": "PROGRAM_KEY", "variable": "KEY"}])
    (own / "go").touch()
    main = FakeMain()
    main.merge(spec)

    def log_of(name: str, given: Callable[[], Collection[str]]) -> ProgramLog:
        assert name == "program"
        return ProgramLog(log, Redactor(given), lambda: NOW, "log/program.log")

    upstreams = Upstreams([], catalogue=directory(main, servers, secrets={"PROGRAM_KEY": SECRET}, log_of=log_of))
    said = f"no configuration\x1b[31m for {SECRET} with password=hunter2hunter2"
    result = await upstreams.call("program__env", {"err": said, "die": True}, CALLER)
    assert result.isError and "what it said is in log/program.log" in result.model_dump_json()
    with anyio.fail_after(30):
        while not log.exists():
            await asyncio.sleep(0.02)
    kept = log.read_text()
    assert kept.startswith("2026-11-20 10:00:00 no configuration?[31m for ") and MARK in kept
    assert SECRET not in kept and "hunter2" not in kept
    await upstreams.close()


def stream(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


@pytest.mark.rows("F38")
async def test_a_flood_is_read_to_its_end_and_kept_within_bounds(tmp_path: Path) -> None:
    path, now = tmp_path / "x.log", NOW
    log = ProgramLog(path, lambda text: text, lambda: now)
    for _ in range(20):
        await log.follow(stream(b"a line of some length\n" * 10_000 + b"the end"))
        now += timedelta(minutes=2)
    files = [path, path.with_name("x.log.1")]
    assert all(0 < file.stat().st_size < MAX_BYTES + 4 * MAX_BYTES_A_MINUTE for file in files)
    assert sorted(tmp_path.iterdir()) == files
    assert "lines before this one were too long or too many" in path.read_text()


@pytest.mark.rows("F76")
async def test_a_line_that_is_too_long_is_left_out_whole_so_that_no_half_secret_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = ProgramLog(path, Redactor(lambda: [SECRET]), lambda: NOW)
    await log.follow(stream(b"x" * 70_000 + SECRET.encode() + b"y" * 70_000 + b"tail\nshort\n"))
    kept = path.read_text()
    assert "short" in kept and "tail" not in kept and SECRET[:8] not in kept and "(1 lines" in kept
