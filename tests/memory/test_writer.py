"""What the gateway writes: nobody is let go before the commit, and nobody passes whose rows are not there."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from sqlalchemy import text

from memory import budgets, deployments, ledger
from memory.ledger import Entry
from memory.rows import Rows, Statement
from memory.session import Database, Unwritable
from memory.tables import DeploymentRow
from memory.writer import Writer

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
FULL = "the disk is full"


@pytest.fixture
def writer(database: Database) -> Generator[Writer]:
    found = Writer(database)
    yield found
    found.close()


def note(number: int) -> Callable[[Rows], int]:
    return lambda rows: ledger.append(rows, Entry("a-team/ann", "act", str(number), "done", NOW)).seq


def noted(database: Database) -> list[str]:
    """The subjects in the ledger, oldest first; the chain is verified on the way."""
    with database.read() as session:
        assert ledger.verify(session).ok
        return [row.subject for row in ledger.latest(session, 10_000)]


@contextlib.contextmanager
def held_up(writer: Writer) -> Generator[Callable[[], None]]:
    """Keeps the writer busy with one piece of work, so that what is asked for meanwhile comes in one transaction.

    It goes on at the end of the block, or when what is given is called.
    """
    inside, go_on = threading.Event(), threading.Event()

    def wait(_rows: Rows) -> None:
        inside.set()
        go_on.wait(10)

    waiting = threading.Thread(target=writer.write_and_wait, args=(wait,))
    waiting.start()
    assert inside.wait(10)
    try:
        yield go_on.set
    finally:
        go_on.set()
        waiting.join()


def commits(database: Database, patch: pytest.MonkeyPatch) -> list[int]:
    """Counts the writer's transactions: one item for each commit."""
    found: list[int] = []
    plain = database.engine.raw_connection

    def counted() -> Any:
        held = plain()
        commit = held.commit

        def and_count() -> None:
            commit()
            found.append(1)

        held.commit = and_count
        return held

    patch.setattr(database.engine, "raw_connection", counted)
    return found


async def together(writer: Writer, *works: Callable[[Rows], Any]) -> list[Any]:
    """The outcomes of works that are written in one transaction."""
    with held_up(writer):
        asked = [asyncio.ensure_future(writer.write(work)) for work in works]
        await asyncio.sleep(0)
    return await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.rows("L8", "F103")
async def test_many_calls_at_once_are_one_transaction_and_one_gapless_chain(
    writer: Writer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = commits(database, monkeypatch)
    found = await together(writer, *(note(number) for number in range(50)))
    assert found == list(range(1, 51)) and noted(database) == [str(number) for number in range(50)]
    assert len(seen) == 1, "fifty calls, one commit"


@pytest.mark.rows("L5", "L8")
async def test_whoever_is_let_go_finds_its_rows_committed(writer: Writer, database: Database) -> None:
    for number in range(20):
        await writer.write(note(number))
        assert noted(database)[-1] == str(number), "read on another connection, which sees only what is committed"


@pytest.mark.rows("L5")
async def test_planted_hole_rows_that_are_not_committed_are_seen_by_nobody_else(
    writer: Writer, database: Database
) -> None:
    seen: list[list[str]] = []

    def look_too_early(rows: Rows) -> None:
        note(1)(rows)
        seen.append(noted(database))

    await writer.write(look_too_early)
    assert seen == [[]] and noted(database) == ["1"], "letting go here would let go of what is not written yet"


@pytest.mark.rows("L5", "F103")
async def test_work_that_fails_is_undone_by_itself_and_takes_nobody_with_it(writer: Writer, database: Database) -> None:
    def fails(rows: Rows) -> None:
        note(99)(rows)
        raise ValueError("it went wrong")

    first, wrong, last = await together(writer, note(1), fails, note(2))
    assert (first, last) == (1, 2) and isinstance(wrong, ValueError)
    assert noted(database) == ["1", "2"]
    with pytest.raises(ValueError, match="went wrong"):
        await writer.write(fails)
    assert noted(database) == ["1", "2"]


@pytest.mark.rows("F45", "L4")
async def test_of_200_parallel_calls_written_together_a_budget_for_10_lets_exactly_10_through(
    writer: Writer, database: Database
) -> None:
    limits = budgets.Limits(day={"team:writers": 10_000})

    def reserve(number: int) -> Callable[[Rows], object]:
        hold = budgets.Hold(f"r{number}", "writers", "ann", "m", "work", "none", 1_000, timedelta(minutes=1))
        return lambda rows: budgets.reserve(rows, hold, limits, NOW)

    found = await together(writer, *(reserve(number) for number in range(200)))
    refused = [one for one in found if isinstance(one, budgets.OverBudget)]
    assert len(refused) == 190 and len(found) == 200
    with database.read() as session:
        assert budgets.committed(session, "team:writers", NOW) == 10_000
        assert session.execute(text("SELECT count(*) FROM reservations")).scalar_one() == 10


@pytest.mark.rows("L5", "L7")
async def test_when_the_commit_fails_every_caller_of_the_transaction_is_refused(sqlite: Database) -> None:
    writer = Writer(sqlite)

    def fills_the_disk(rows: Rows) -> None:
        pages = rows.execute(Statement("PRAGMA page_count")).fetchone()[0]
        rows.execute(Statement(f"PRAGMA max_page_count = {pages}"))
        for number in range(50):
            ledger.append(rows, Entry("a-team/ann", "act", str(number), "done", NOW, {"text": "x" * 20_000}))

    found = await together(writer, note(1), fills_the_disk, note(2))
    assert [type(one) for one in found] == [Unwritable] * 3 and "free some room" in str(found[0])
    with pytest.raises(Unwritable, match="free some room"):
        await writer.write(fills_the_disk)
    assert noted(sqlite) == [], "neither together nor alone"
    await writer.write(lambda rows: rows.execute(Statement("PRAGMA max_page_count = 1000000")))
    assert await writer.write(note(3)) == 1, "and it goes on once there is room"
    writer.close()


async def test_a_database_that_somebody_else_has_locked_refuses_and_is_written_again_afterwards(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory.session.BUSY_TIMEOUT_MS", 50)
    impatient = Database(sqlite.url)
    writer = Writer(impatient)
    with sqlite.begin() as session:
        session.execute(text("DELETE FROM budgets"))
        with pytest.raises(Unwritable, match="locked"):
            await writer.write(note(1))
    assert await writer.write(note(2)) == 1
    writer.close()
    impatient.close()


async def test_while_somebody_else_writes_the_event_loop_goes_on_and_the_row_follows(sqlite: Database) -> None:
    writer = Writer(sqlite)
    assert await writer.write(note(1)) == 1
    with sqlite.begin() as session:
        session.execute(text("DELETE FROM budgets"))
        waiting = asyncio.ensure_future(writer.write(note(2)))
        began = asyncio.get_running_loop().time()
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - began < 2 and not waiting.done()
    assert await waiting == 2 and noted(sqlite) == ["1", "2"]
    writer.close()


async def test_the_log_of_what_was_written_without_the_thread_is_brought_into_the_database_by_it(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory.writer.CHECKPOINT_EVERY", 10)
    asked: list[tuple[str, str]] = []
    look = sqlite.look

    def seen(statement: Statement, values: Any) -> Any:
        asked.append((statement.sqlite, threading.current_thread().name))
        return look(statement, values)

    monkeypatch.setattr(sqlite, "look", seen)
    writer = Writer(sqlite)
    for number in range(25):
        await writer.write(note(number))
        if number % 10 == 9:
            writer.write_and_wait(lambda _rows: None)
    writer.close()
    assert asked == [("PRAGMA wal_checkpoint(PASSIVE)", "ledger-writer")] * 2
    assert len(noted(sqlite)) == 25


async def test_who_is_cancelled_while_it_is_written_learns_first_how_that_ended(
    writer: Writer, database: Database
) -> None:
    known: list[int] = []

    async def ask() -> None:
        known.append(await writer.write(note(1)))

    with held_up(writer) as go_on:
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await asyncio.sleep(0.01)
            group.cancel_scope.cancel()
            asyncio.get_running_loop().call_later(0.05, go_on)
    assert known == [1] and noted(database) == ["1"]


def test_a_closed_writer_has_written_what_was_asked_for_and_takes_no_more(database: Database) -> None:
    writer = Writer(database)
    assert [writer.write_and_wait(note(number)) for number in range(3)] == [1, 2, 3]
    writer.close()
    writer.close()
    with pytest.raises(Unwritable, match="closed"):
        writer.write_and_wait(note(4))
    assert noted(database) == ["0", "1", "2"]


async def test_work_that_writes_nothing_waits_for_nobody(sqlite: Database) -> None:
    writer = Writer(sqlite)
    with sqlite.begin() as session:
        session.execute(text("DELETE FROM budgets"))
        with anyio.fail_after(2):
            assert await writer.write(lambda _rows: "nothing") == "nothing"
    writer.close()


@pytest.mark.rows("F39", "L7")
async def test_whether_a_deployment_lives_is_read_where_it_is_asked_and_so_is_its_end(
    writer: Writer, database: Database
) -> None:
    nothing: dict[str, Any] = {"healthy_at": None, "ended_at": None, "ended_as": None, "reason": None, "address": None}
    names = {"id": "d1", "team": "a-team", "tree": "0" * 40, "commit": "0" * 40, "inbound_token": "none"}
    with database.begin() as session:
        session.add(DeploymentRow(**names, **nothing, started_at=NOW))

    def lives(rows: Rows) -> tuple[bool, bool]:
        return deployments.is_open(database, "d1", rows), deployments.is_open(database, "d2", rows)

    assert await writer.write(lives) == (True, False)
    with database.begin() as session:
        row = session.get(DeploymentRow, "d1")
        assert row is not None
        deployments.end(row, ended_as="stopped", reason="retired", at=NOW)
    assert await writer.write(lives) == (False, False)
    assert deployments.is_open(database, "d1", None) is False
