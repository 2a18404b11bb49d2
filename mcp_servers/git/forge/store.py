"""What Git does not hold: pull requests' words, labels, comments, reviews, statuses, rulesets, webhooks and their outbox, in
one small SQLite file.

Whether a pull request is merged, and where its head is, is not here: that is read from Git each time (`pulls.py`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS pulls (
    repo TEXT NOT NULL, number INTEGER NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL, author TEXT NOT NULL,
    head TEXT NOT NULL, base TEXT NOT NULL, draft INTEGER NOT NULL, labels TEXT NOT NULL DEFAULT '[]',
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, closed_at TEXT, merged_at TEXT, merged_by TEXT,
    PRIMARY KEY (repo, number));
CREATE INDEX IF NOT EXISTS pulls_by_head ON pulls (repo, head);
CREATE TABLE IF NOT EXISTS labels (
    repo TEXT NOT NULL, name TEXT NOT NULL, color TEXT NOT NULL, description TEXT NOT NULL, PRIMARY KEY (repo, name));
CREATE TABLE IF NOT EXISTS comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, repo TEXT NOT NULL, number INTEGER NOT NULL, author TEXT NOT NULL,
    body TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS comments_by_pull ON comments (repo, number);
CREATE TABLE IF NOT EXISTS reviews (
    id INTEGER PRIMARY KEY AUTOINCREMENT, repo TEXT NOT NULL, number INTEGER NOT NULL, author TEXT NOT NULL,
    commit_id TEXT NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL, submitted_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS reviews_by_pull ON reviews (repo, number);
CREATE TABLE IF NOT EXISTS turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT, repo TEXT NOT NULL, number INTEGER NOT NULL, event TEXT NOT NULL,
    actor TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS turns_by_pull ON turns (repo, number);
CREATE TABLE IF NOT EXISTS statuses (
    id INTEGER PRIMARY KEY AUTOINCREMENT, repo TEXT NOT NULL, sha TEXT NOT NULL, context TEXT NOT NULL,
    state TEXT NOT NULL, description TEXT NOT NULL, target_url TEXT NOT NULL, creator TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS statuses_by_sha ON statuses (repo, sha);
CREATE TABLE IF NOT EXISTS rulesets (
    id INTEGER PRIMARY KEY AUTOINCREMENT, repo TEXT NOT NULL, name TEXT NOT NULL, enforcement TEXT NOT NULL,
    bypass_actors TEXT NOT NULL, conditions TEXT NOT NULL, rules TEXT NOT NULL, created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL, UNIQUE (repo, name));
CREATE TABLE IF NOT EXISTS hooks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, repo TEXT NOT NULL, url TEXT NOT NULL, content_type TEXT NOT NULL,
    secret TEXT NOT NULL, events TEXT NOT NULL, active INTEGER NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    last_code INTEGER, last_status TEXT NOT NULL DEFAULT 'unused', last_message TEXT);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, repo TEXT NOT NULL, hook INTEGER NOT NULL, guid TEXT NOT NULL,
    event TEXT NOT NULL, action TEXT, payload TEXT NOT NULL, redelivery INTEGER NOT NULL, created_at TEXT NOT NULL,
    delivered_at TEXT, duration REAL, status TEXT, code INTEGER, sent TEXT, answered TEXT, answer TEXT);
CREATE INDEX IF NOT EXISTS deliveries_by_hook ON deliveries (hook, id);
CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (id) WHERE delivered_at IS NULL;
CREATE TABLE IF NOT EXISTS told_refs (
    repo TEXT NOT NULL, ref TEXT NOT NULL, sha TEXT NOT NULL, PRIMARY KEY (repo, ref));
"""

#: SQLite cannot even be asked for a larger one.
LARGEST_NUMBER = 2**63 - 1

#: A row of the tables that are only listed and appended to: comments, reviews, statuses, labels.
Row = sqlite3.Row


@dataclass(frozen=True)
class PullRow:
    """A pull request as stored. Times are ISO 8601 in UTC; `merged_at` and `merged_by` tell of the last merge attempted."""

    repo: str
    number: int
    title: str
    body: str
    author: str
    head: str
    base: str
    draft: bool
    labels: tuple[str, ...]
    created_at: str
    updated_at: str
    closed_at: str | None
    merged_at: str | None
    merged_by: str | None


class Store:
    """The file. Each call of `read` or `write` is one transaction on its own connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(SCHEMA)

    @contextmanager
    def read(self) -> Generator[sqlite3.Connection, None, None]:
        with self._connection() as connection:
            yield connection

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection, None, None]:
        """A write transaction that waits its turn at once (BEGIN IMMEDIATE), kept whole or not at all."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection, None, None]:
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            yield connection
        finally:
            connection.close()


def pull_rows(connection: sqlite3.Connection, repo: str, *, head: str | None = None) -> list[PullRow]:
    """A repository's pull requests, oldest first; with `head` those of that branch."""
    found = connection.execute(
        "SELECT * FROM pulls WHERE repo = ? AND (? IS NULL OR head = ?) ORDER BY number", (repo, head, head)
    )
    return [_pull(row) for row in found]


def pull_row(connection: sqlite3.Connection, repo: str, number: int) -> PullRow | None:
    if not 0 < number <= LARGEST_NUMBER:
        return None
    row = connection.execute("SELECT * FROM pulls WHERE repo = ? AND number = ?", (repo, number)).fetchone()
    return None if row is None else _pull(row)


def next_number(connection: sqlite3.Connection, repo: str) -> int:
    """The number of the next pull request; call it inside the write transaction that inserts it."""
    (last,) = connection.execute("SELECT COALESCE(MAX(number), 0) FROM pulls WHERE repo = ?", (repo,)).fetchone()
    return last + 1


def insert_pull(connection: sqlite3.Connection, pull: PullRow) -> None:
    connection.execute(
        "INSERT INTO pulls (repo, number, title, body, author, head, base, draft, labels, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            pull.repo, pull.number, pull.title, pull.body, pull.author, pull.head, pull.base, pull.draft,
            json.dumps(pull.labels), pull.created_at, pull.updated_at,
        ),
    )  # fmt: skip


def update_pull(connection: sqlite3.Connection, repo: str, number: int, at: str, **columns: str | int | None) -> None:
    """Set columns of one pull request. The names come from our own code, the values are bound."""
    settings = ", ".join(f"{name} = ?" for name in ("updated_at", *columns))
    connection.execute(
        f"UPDATE pulls SET {settings} WHERE repo = ? AND number = ?",  # noqa: S608 - column names are literals in this package
        (at, *columns.values(), repo, number),
    )


def set_labels(connection: sqlite3.Connection, repo: str, number: int, labels: Sequence[str], at: str) -> None:
    """Give a pull request these labels, once each and in order; unknown labels come to be."""
    names = tuple(dict.fromkeys(labels))
    connection.executemany("INSERT OR IGNORE INTO labels VALUES (?, ?, 'ededed', '')", [(repo, name) for name in names])
    update_pull(connection, repo, number, at, labels=json.dumps(names))


def review_rows(connection: sqlite3.Connection, repo: str, number: int) -> list[Row]:
    """A pull request's reviews, oldest first."""
    query = "SELECT * FROM reviews WHERE repo = ? AND number = ? ORDER BY id"
    return connection.execute(query, (repo, number)).fetchall()


def insert_turn(connection: sqlite3.Connection, repo: str, number: int, event: str, actor: str, at: str) -> None:
    """That somebody closed or reopened a pull request."""
    columns = "(repo, number, event, actor, created_at)"
    connection.execute(f"INSERT INTO turns {columns} VALUES (?, ?, ?, ?, ?)", (repo, number, event, actor, at))  # noqa: S608 - a literal


def turn_rows(connection: sqlite3.Connection, repo: str, number: int) -> list[Row]:
    """Who closed and reopened a pull request, oldest first."""
    query = "SELECT * FROM turns WHERE repo = ? AND number = ? ORDER BY id"
    return connection.execute(query, (repo, number)).fetchall()


def status_rows(connection: sqlite3.Connection, repo: str, sha: str) -> list[Row]:
    """Every status of a commit, newest first."""
    query = "SELECT * FROM statuses WHERE repo = ? AND sha = ? ORDER BY id DESC"
    return connection.execute(query, (repo, sha)).fetchall()


def comment_count(connection: sqlite3.Connection, repo: str, number: int) -> int:
    query = "SELECT COUNT(*) FROM comments WHERE repo = ? AND number = ?"
    (count,) = connection.execute(query, (repo, number)).fetchone()
    return count


def ruleset_rows(connection: sqlite3.Connection, repo: str) -> list[Row]:
    return connection.execute("SELECT * FROM rulesets WHERE repo = ? ORDER BY id", (repo,)).fetchall()


def _pull(row: sqlite3.Row) -> PullRow:
    columns: dict[str, Any] = dict(row)
    columns |= {"draft": bool(columns["draft"]), "labels": tuple(json.loads(columns["labels"]))}
    return PullRow(**columns)
