"""One database, two kinds: SQLite embedded in the company's home, Postgres (Supabase) by URL.

Transactions are short and hold no network call. On SQLite every writing transaction begins IMMEDIATE: a plain BEGIN that
later upgrades fails under concurrency instead of waiting.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

from memory.rows import Rows, Statement

BUSY_TIMEOUT_MS = 15_000
_WAL_TRIES, _WAL_WAIT_S = 100, 0.02


class Unwritable(RuntimeError):
    """The database cannot be written: its disk is full, it is locked, or it is gone. Nothing was changed; trying again may work."""


class Database:
    """An engine with the settings that keep its rows safe. Threads may share it."""

    def __init__(self, url: str | URL) -> None:
        self.url = _with_driver(make_url(url))
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite(self.url) if self.is_sqlite else _postgres(self.url)

    @contextmanager
    def begin(self) -> Generator[Session]:
        """A writing transaction: committed at the end of the block, undone by an exception. Raises `Unwritable`."""
        with self.saying_unwritable(), self._begin() as session:
            yield session

    @contextmanager
    def saying_unwritable(self) -> Generator[None]:
        """Turns what the driver says of a database that cannot be written into `Unwritable`."""
        try:
            yield
        except Exception as error:
            if is_operational(error):
                raise unwritable(error) from error
            raise

    @contextmanager
    def _begin(self) -> Generator[Session]:
        with self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            with Session(bind=connection, join_transaction_mode="control_fully", expire_on_commit=False) as session:
                try:
                    yield session
                    session.commit()
                except BaseException:
                    session.rollback()
                    raise

    @contextmanager
    def read(self) -> Generator[Session]:
        """A reading session; what it changes is thrown away."""
        with self.engine.connect() as connection, Session(bind=connection, expire_on_commit=False) as session:
            try:
                yield session
            finally:
                # Rows outlive the session as what they were when read.
                session.expunge_all()
                session.rollback()

    def look(self, statement: Statement, values: Mapping[str, Any]) -> Any:
        """The first row that one driver-level question finds, or None; what is asked at every call of the gateway."""
        held = self.engine.raw_connection()
        try:
            return Rows(held.driver_connection, is_sqlite=self.is_sqlite).execute(statement, values).fetchone()
        finally:
            held.close()

    def close(self) -> None:
        self.engine.dispose()


def unwritable(error: Exception) -> Unwritable:
    """What the driver said, for people."""
    said = str(getattr(error, "orig", error)).strip() or "no reason given"
    return Unwritable(
        f"the company's database takes no writes now ({said.splitlines()[0]}); if the disk is full, free some room, "
        "then try again"
    )


def is_operational(error: BaseException) -> bool:
    """Whether the database itself is at fault: full, locked, or gone. SQLAlchemy and both drivers call that the same."""
    return any(kind.__name__ == "OperationalError" for kind in type(error).__mro__)


def _with_driver(url: URL) -> URL:
    """Postgres URLs as people paste them (`postgres://`, `postgresql://`) go through psycopg 3."""
    if url.drivername in {"postgres", "postgresql"}:
        return url.set(drivername="postgresql+psycopg")
    return url


def _sqlite(url: URL) -> Engine:
    # The driver's own transaction handling is off (isolation_level None): BEGIN IMMEDIATE is ours to say.
    engine = create_engine(url, connect_args={"check_same_thread": False, "isolation_level": None})

    @event.listens_for(engine, "connect")
    def _settings(connection, _record) -> None:  # pyright: ignore[reportUnusedFunction, reportUnknownParameterType, reportMissingParameterType]
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "foreign_keys=ON",
            # Without it, INSERT OR REPLACE would slip past the append-only triggers.
            "recursive_triggers=ON",
            "synchronous=NORMAL",
        ):
            connection.execute(f"PRAGMA {pragma}")
        _write_ahead(connection)

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switches an empty database to its write-ahead log. The one statement that SQLite's own waiting does not cover: two processes
    that begin at once may meet in it."""
    for patience in range(_WAL_TRIES, -1, -1):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if not patience:
                raise
            time.sleep(_WAL_WAIT_S)
        else:
            return


def _postgres(url: URL) -> Engine:
    return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20)
