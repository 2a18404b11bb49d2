"""Fifty processes that start at once on an empty database are one company: one schema, one budget, one chain."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from memory import budgets, ledger
from memory.migrate import drift
from memory.session import Database
from memory.tables import AuditRow
from tests.memory.starting import NOW, start, start_unlocked

PROCESSES = 50


@pytest.mark.rows("F45", "F61", "F103", "L4")
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_fifty_processes_that_start_at_once_make_one_company(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'company.db'}" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.memory.starting"])
    with context.Pool(PROCESSES, maxtasksperchild=1) as pool:
        ends = pool.map(start, [(url, number) for number in range(PROCESSES)], chunksize=1)
    steps, got = zip(*ends, strict=True)
    assert len([each for each in steps if each]) == 1, "one migrated, and the others found it done"
    assert sum(got) == 10, "a budget for ten lets ten through"
    database = Database(url)
    with database.read() as session:
        assert ledger.verify(session).ok
        assert session.scalar(select(func.count(AuditRow.seq))) == PROCESSES, "each has its row"
        assert budgets.committed(session, budgets.COMPANY, NOW) == 10_000
    assert drift(database) == []
    database.close()


@pytest.mark.postgres
@pytest.mark.timeout(120)
def test_planted_hole_without_the_lock_postgres_is_migrated_twice_at_once(postgres_url: str) -> None:
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.memory.starting"])
    for _ in range(5):
        with context.Pool(8, maxtasksperchild=1) as pool:
            ends = pool.map_async(start_unlocked, [postgres_url] * 8, chunksize=1).get(90)
        if set(ends) - {"done"}:
            return
        _emptied(postgres_url)
    raise AssertionError("nobody met anybody, five times")


def _emptied(url: str) -> None:
    admin = Database(url)
    with admin.begin() as session:
        session.execute(text("DROP SCHEMA public CASCADE"))
        session.execute(text("CREATE SCHEMA public"))
    admin.close()
