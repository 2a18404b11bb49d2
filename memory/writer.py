"""One thread that writes what every call of the gateway needs written, many calls in one transaction where many come at once.

Each caller is let go only once its rows are committed; if the commit fails, every caller of that transaction is told so and none
passes. One that fails by itself is undone by itself (a savepoint) and takes nobody with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio

from memory import ledger
from memory.rows import Rows, Statement
from memory.session import Database, Unwritable, is_operational

T = TypeVar("T")
#: Runs in the writer's thread. Opens no transaction of its own: it would wait for the one it is in.
Work = Callable[[Rows], T]

#: Calls in one transaction at most; it holds the database from its first statement on.
MOST = 64

_BEGIN = Statement("BEGIN IMMEDIATE")
_SAVEPOINT = Statement("SAVEPOINT one")
_RELEASE = Statement("RELEASE SAVEPOINT one")
_BACK = Statement("ROLLBACK TO SAVEPOINT one")


class Writer:
    """Started by the first who writes. Threads and event loops may share it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._turn = threading.Lock()

    async def write(self, work: Work[T]) -> T:
        """What `work` gave, once it is committed; its exception, once it is undone. Raises `Unwritable`.

        Whoever is cancelled meanwhile learns how it ended first: what was written down is known to have been.
        """
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[T] = loop.create_future()
        self._put(_Job(work, lambda outcome: _tell(loop, waiting, outcome)))
        with anyio.CancelScope(shield=True):
            await waiting
        return waiting.result()

    def write_and_wait(self, work: Work[T]) -> T:
        """The same for a caller who may block; never called by work in the writer's own thread."""
        waiting: Future[T] = Future()
        self._put(_Job(work, lambda outcome: outcome.settle(waiting)))
        return waiting.result()

    def close(self) -> None:
        """Writes what was asked for, then takes no more."""
        with self._turn:
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._jobs.put(None)
            thread.join()

    def _put(self, job: _Job) -> None:
        with self._turn:
            if self._closed:
                raise Unwritable("the gateway is closed and writes nothing more")
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="ledger-writer", daemon=True)
                self._thread.start()
            self._jobs.put(job)

    def _serve(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch = [first]
            with contextlib.suppress(Empty):
                while len(batch) < MOST and (job := self._jobs.get_nowait()) is not None:
                    batch.append(job)
            self._write(batch)
            if self._closed and self._jobs.empty():
                return

    def _write(self, batch: list[_Job]) -> None:
        try:
            with self.database.saying_unwritable(), _Transaction(self.database) as rows:
                alone = len(batch) == 1
                outcomes = [_Outcome(batch[0].work(rows))] if alone else [_by_itself(rows, job) for job in batch]
        except Unwritable as error:
            outcomes = [_Outcome(error=Unwritable(*error.args)) for _ in batch]
        except Exception as error:  # noqa: BLE001 - each of those who wait for it raises it
            outcomes = [_Outcome(error=error) for _ in batch]
        for job, outcome in zip(batch, outcomes, strict=True):
            job.done(outcome)


@dataclass(frozen=True, slots=True)
class _Outcome:
    value: Any = None
    error: Exception | None = None

    def settle(self, waiting: Future[Any] | asyncio.Future[Any]) -> None:
        if waiting.done():
            return
        if self.error is not None:
            waiting.set_exception(self.error)
        else:
            waiting.set_result(self.value)


@dataclass(frozen=True, slots=True)
class _Job:
    work: Work[Any]
    #: Called in the writer's thread, after the commit.
    done: Callable[[_Outcome], None]


class _Transaction(Rows):
    """Begins at its first statement: work that only finds out that there is nothing to write keeps nobody waiting."""

    def __init__(self, database: Database) -> None:
        self._held = database.engine.raw_connection()
        self._open = False
        super().__init__(self._held.driver_connection, is_sqlite=database.is_sqlite)

    def execute(self, statement: Statement, values: Mapping[str, Any] | None = None) -> Any:
        if not self._open:
            self._open = True
            if self.is_sqlite:
                super().execute(_BEGIN)
            else:
                # First of all locks, in every transaction: so no two of them ever wait for each other.
                ledger.hold(self)
        return super().execute(statement, values)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._open and kind is None:
                self._held.commit()
            elif self._open:
                self._held.rollback()
        finally:
            self._held.close()


def _by_itself(rows: Rows, job: _Job) -> _Outcome:
    """One of several in a transaction. What is wrong with the database is raised: it concerns them all."""
    rows.execute(_SAVEPOINT)
    try:
        value = job.work(rows)
    except Exception as error:
        if is_operational(error):
            raise
        rows.execute(_BACK)
        rows.execute(_RELEASE)
        return _Outcome(error=error)
    rows.execute(_RELEASE)
    return _Outcome(value)


def _tell(loop: asyncio.AbstractEventLoop, waiting: asyncio.Future[Any], outcome: _Outcome) -> None:
    # Nobody waits in a loop that was closed.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(outcome.settle, waiting)
