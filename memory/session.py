"""One database, two kinds: SQLite embedded in the company's home, Postgres (Supabase) by URL.

Transactions are short and hold no network call. On SQLite every writing transaction begins IMMEDIATE: a plain BEGIN that
later upgrades fails under concurrency instead of waiting.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

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
        try:
            with self._begin() as session:
                yield session
        except OperationalError as error:
            why = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "no reason given"
            raise Unwritable(
                f"the company's database takes no writes now ({why}); if the disk is full, free some room, then try again"
            ) from error

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

    def close(self) -> None:
        self.engine.dispose()


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
