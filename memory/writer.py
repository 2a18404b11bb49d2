"""Writes what every call of the gateway needs written: one at a time, or many calls in one transaction where many wait.

Each caller is let go only once its rows are committed; if the commit fails, every caller of that transaction is told so and none
passes. One that fails by itself is undone by itself (a savepoint) and takes nobody with it.

A thread does it. But on SQLite, where nobody else is writing, an event loop's caller writes at once and without the thread: a commit
there is a copy into the system's memory, and changing threads twice takes longer than that. It waits for nothing: neither for a lock
(then the thread takes over, before anything was done) nor for the disk (checkpoints are the thread's).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import anyio

from memory.rows import Rows, Statement
from memory.session import Database, Unwritable, is_operational, unwritable
from memory.transactions import Direct, Lazy

T = TypeVar("T")
#: Runs in the writer's thread. Opens no transaction of its own: it would wait for the one it is in.
Work = Callable[[Rows], T]

#: Rows written without the thread until it brings the write-ahead log into the database, in transactions.
CHECKPOINT_EVERY = 200
#: Calls in one transaction at most; it holds the database from its first statement on.
MOST = 64

log = logging.getLogger(__name__)

_CHECKPOINT = Statement("PRAGMA wal_checkpoint(PASSIVE)")
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
        #: Held by whoever writes now: works never run side by side.
        self._writing = threading.Lock()
        self._direct: Direct | None = None
        self._checkpointed = 0

    async def write(self, work: Work[T]) -> T:
        """What `work` gave, once it is committed; its exception, once it is undone. Raises `Unwritable`.

        Whoever is cancelled meanwhile learns how it ended first: what was written down is known to have been.
        """
        if (outcome := self._at_once(work)) is not None:
            return outcome.given()
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
        with self._writing:
            if self._direct is not None:
                self._direct.close()

    def _at_once(self, work: Work[Any]) -> _Outcome | None:
        """What came of it, written on this thread; None: nothing was done, the writer's thread has to."""
        if not self.database.is_sqlite or not self._jobs.empty() or not self._writing.acquire(blocking=False):
            return None
        try:
            if self._closed or (rows := self._begun()) is None:
                return None
            try:
                with rows:
                    outcome = _Outcome(work(rows))
            except Exception as error:  # noqa: BLE001 - the caller raises it
                return _Outcome(error=unwritable(error) if is_operational(error) else error)
        finally:
            self._writing.release()
        if rows.commits % CHECKPOINT_EVERY == 0:
            self._put(_Job(_nothing, lambda _: None))
        return outcome

    def _begun(self) -> Direct | None:
        """A transaction of the connection that waits for nothing; None if there is none to be had now."""
        try:
            self._direct = self._direct or Direct(self.database)
            self._direct.begin()
        except Exception as error:
            if is_operational(error):
                return None
            raise
        return self._direct

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
            with self._writing:
                self._write(batch)
            self._checkpoint()
            if self._closed and self._jobs.empty():
                return

    def _write(self, batch: list[_Job]) -> None:
        try:
            with self.database.saying_unwritable(), Lazy(self.database) as rows:
                alone = len(batch) == 1
                outcomes = [_Outcome(batch[0].work(rows))] if alone else [_by_itself(rows, job) for job in batch]
        except Unwritable as error:
            outcomes = [_Outcome(error=Unwritable(*error.args)) for _ in batch]
        except Exception as error:  # noqa: BLE001 - each of those who wait for it raises it
            outcomes = [_Outcome(error=error) for _ in batch]
        for job, outcome in zip(batch, outcomes, strict=True):
            job.done(outcome)

    def _checkpoint(self) -> None:
        """Does what SQLite would do at some commit of the connection that leaves it to us."""
        if self._direct is None or self._direct.commits < self._checkpointed + CHECKPOINT_EVERY:
            return
        self._checkpointed = self._direct.commits
        try:
            self.database.look(_CHECKPOINT, {})
        except Exception:
            # Nothing is lost: all is in the log, and the next round tries again.
            log.exception("the database's write-ahead log could not be brought into the database")


@dataclass(frozen=True, slots=True)
class _Outcome:
    value: Any = None
    error: Exception | None = None

    def given(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value

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


def _nothing(_rows: Rows) -> None:
    """What the thread is asked for when only its own housekeeping is due."""


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
