"""Statements at the driver's own level, for the rows that every call of the gateway writes.

SQLAlchemy's session and statement machinery takes several times what such a row takes to write. The same text serves both databases;
it is run on the connection of a session, or of the writer (see `writer`), inside a transaction that is theirs to end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session


class Statement:
    """SQL that both databases understand, with `:named` values. Values are text, whole numbers or None: times go as `utc_text`."""

    def __init__(self, sql: str) -> None:
        self.sqlite = sql
        self.postgres = re.sub(r":([a-z]\w*)", r"%(\1)s", sql)


class Rows:
    """A connection in a transaction. One thread at a time."""

    def __init__(self, connection: Any, *, is_sqlite: bool) -> None:
        self._connection, self.is_sqlite = connection, is_sqlite
        #: Whether this transaction holds the ledger already (see `ledger.append`).
        self.holds_ledger = False

    def execute(self, statement: Statement, values: Mapping[str, Any] | None = None) -> Any:
        """The driver's cursor. Raises the driver's own errors."""
        return self._connection.execute(statement.sqlite if self.is_sqlite else statement.postgres, values or {})


#: Where rows are written: in a session's transaction, or in the writer's.
Transaction = Session | Rows


def rows_of(transaction: Transaction) -> Rows:
    """The driver's level of a transaction. What a session has not flushed is not seen there."""
    if isinstance(transaction, Rows):
        return transaction
    connection = transaction.connection()
    return Rows(connection.connection.driver_connection, is_sqlite=connection.dialect.name == "sqlite")


def insert_into(table: str, columns: Sequence[str]) -> Statement:
    """Takes one value for each column, by its name."""
    placeholders = ", ".join(f":{column}" for column in columns)
    return Statement(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({placeholders})")  # noqa: S608 (names of ours only)
