"""The ledger's and the till's figures, without a company: python -m bootstrap.bench_ledger

A million chained rows are written as the company writes them and then verified; and of 200 calls that come at once against a budget for
10, those that get their money are counted, ten times.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from memory import budgets, ledger
from memory.migrate import upgrade
from memory.rows import Rows
from memory.session import Database
from memory.writer import Writer

ROWS, BATCH = 1_000_000, 20_000
RUNS, CALLS, ROOM = 10, 200, 10
_NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def measure(rows: int = ROWS) -> list[dict[str, Any]]:
    """Figures as `./elf bench` prints them."""
    folder = Path(tempfile.mkdtemp(prefix="elf-bench-ledger-"))
    database = Database(f"sqlite:///{folder / 'company.db'}")
    try:
        upgrade(database)
        paid = [asyncio.run(_paid(database, run)) for run in range(RUNS)]
        return [
            _figure(
                f"calls paid of {CALLS} at once, budget for {ROOM}: the worst of {RUNS} runs",
                worst(paid),
                "calls",
                ROOM,
            ),
            _figure(f"audit verify, {rows:,} rows", _verified(database, rows), "s", 12),
        ]
    finally:
        database.close()
        shutil.rmtree(folder)


def worst(paid: list[int]) -> int:
    """The count that is furthest from what there is room for."""
    return max(paid, key=lambda count: abs(count - ROOM))


async def _paid(database: Database, run: int) -> int:
    team, cost = f"team-{run}", 1_000
    limits = budgets.Limits(day={f"team:{team}": ROOM * cost})

    def reserve(number: int) -> Callable[[Rows], object]:
        hold = budgets.Hold(f"r{run}-{number}", team, "ann", "m", "work", "none", cost, timedelta(minutes=1))
        return lambda rows: budgets.reserve(rows, hold, limits, _NOW)

    writer = Writer(database)
    try:
        calls = (writer.write(reserve(number)) for number in range(CALLS))
        found = await asyncio.gather(*calls, return_exceptions=True)
    finally:
        writer.close()
    return sum(not isinstance(one, BaseException) for one in found)


def _verified(database: Database, rows: int) -> float:
    """Seconds to recompute the chain."""
    detail = {"run": "ask-" + "0" * 32, "ms": 17, "usd_micro": 123, "params_sha256": "a" * 64}
    for begun in range(0, rows, BATCH):
        with database.begin() as session:
            for number in range(begun, min(begun + BATCH, rows)):
                at = _NOW + timedelta(seconds=number)
                ledger.append(session, ledger.Entry("team/member", "model.call", "rehearsal", "allowed", at, detail))
    with database.read() as session:
        began = time.perf_counter()
        report = ledger.verify(session)
    seconds = time.perf_counter() - began
    if not report.ok or report.rows != rows:
        raise RuntimeError(f"the ledger of {report.rows} rows does not hold: {report.reason}")
    return seconds


def _figure(what: str, value: float, unit: str, reach: float) -> dict[str, Any]:
    return {"what": what, "value": round(value, 2), "unit": unit, "reach": reach}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(), indent=2) + "\n")
