"""The two ways in which the writer holds a transaction: by its thread, and without it."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from memory import ledger
from memory.rows import Rows, Statement
from memory.session import Database

_BEGIN = Statement("BEGIN IMMEDIATE")


class Lazy(Rows):
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


class Direct(Rows):
    """SQLite, without the thread: a connection of its own, which waits for no lock and leaves checkpoints to the thread."""

    def __init__(self, database: Database) -> None:
        held = database.engine.raw_connection()
        super().__init__(held.driver_connection, is_sqlite=True)
        # The pool never has it back: its settings are not for others.
        held.detach()
        self._held = held
        for pragma in ("busy_timeout=0", "wal_autocheckpoint=0"):
            self.execute(Statement(f"PRAGMA {pragma}"))
        self.commits = 0

    def begin(self) -> None:
        """Raises the driver's operational error, at once, where somebody else is writing."""
        self.execute(_BEGIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._held.rollback()
            return
        try:
            self._held.commit()
        except BaseException:
            self._held.rollback()
            raise
        self.commits += 1

    def close(self) -> None:
        self._held.close()
