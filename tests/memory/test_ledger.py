"""The audit ledger: what cannot be undone, and what verifying finds when somebody goes round the guards."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from memory import ledger
from memory.ledger import Entry, Head
from memory.session import Database
from memory.tables import utc_text

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def write(database: Database, count: int) -> None:
    for number in range(count):
        with database.begin() as session:
            ledger.append(session, Entry("kernel:test", "act", f"subject-{number}", "done", NOW, {"number": number}))


def verified(database: Database, *anchors: Head) -> ledger.Report:
    with database.read() as session:
        return ledger.verify(session, anchors)


@pytest.mark.rows("F74", "F103", "L8")
def test_a_ledger_that_was_only_appended_to_holds(database: Database) -> None:
    write(database, 5)
    report = verified(database)
    assert report.ok
    assert report.rows == 5


@pytest.mark.rows("L8")
def test_parallel_writers_make_one_gapless_chain(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, [database] * 8, [10] * 8))
    assert verified(database) == ledger.Report(80, verified(database).head)


@pytest.mark.rows("L8")
@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE audit SET actor = 'somebody else' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 3",
        "INSERT INTO audit SELECT 9, at, actor, action, subject, outcome, detail, previous, 'x' FROM audit WHERE seq = 1",
    ],
)
def test_the_database_itself_refuses_to_change_history(database: Database, attack: str) -> None:
    write(database, 3)
    with pytest.raises(DBAPIError, match="audit ledger"), database.begin() as session:
        session.execute(text(attack))
    assert verified(database).ok


@pytest.mark.rows("L8")
def test_replacing_a_row_is_refused_by_sqlite_too(sqlite: Database) -> None:
    write(sqlite, 3)
    with pytest.raises(DBAPIError, match="audit ledger"), sqlite.begin() as session:
        session.execute(text("INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE seq = 2"))


def without_guards(database: Database, *statements: str) -> None:
    """The hole, planted: the triggers are gone, as for somebody who holds the database file."""
    with database.begin() as session:
        for trigger in ("audit_no_update", "audit_no_delete", "audit_next_only"):
            session.execute(text(f"DROP TRIGGER IF EXISTS {trigger}"))
        for statement in statements:
            session.execute(text(statement))


@pytest.mark.rows("L8")
def test_without_its_guards_an_edited_row_is_found_by_its_number(sqlite: Database) -> None:
    write(sqlite, 5)
    without_guards(sqlite, "UPDATE audit SET outcome = 'refused' WHERE seq = 3")
    report = verified(sqlite)
    assert (report.first_bad, report.ok) == (3, False)
    assert "do not match its hash" in str(report.reason)


@pytest.mark.rows("L8")
def test_without_its_guards_a_removed_row_is_found(sqlite: Database) -> None:
    write(sqlite, 5)
    without_guards(sqlite, "DELETE FROM audit WHERE seq = 2")
    assert verified(sqlite).reason == "row 2 is missing"


@pytest.mark.rows("L8")
def test_a_shortened_ledger_holds_by_itself_and_is_betrayed_by_its_anchor(sqlite: Database) -> None:
    write(sqlite, 5)
    anchored = verified(sqlite).head
    without_guards(sqlite, "DELETE FROM audit WHERE seq > 3")
    assert verified(sqlite).ok
    assert verified(sqlite, anchored).first_bad == 4


@pytest.mark.rows("L8")
def test_a_wholly_recomputed_ledger_is_betrayed_by_its_anchor(
    sqlite: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write(sqlite, 3)
    anchored = verified(sqlite).head
    without_guards(sqlite, "DELETE FROM audit")
    with sqlite.begin() as session:
        for number in range(3):
            ledger.append(session, Entry("kernel:forger", "act", f"subject-{number}", "done", NOW))
    assert verified(sqlite).ok
    assert "anchored" in str(verified(sqlite, anchored).reason)


def test_an_act_that_is_undone_leaves_no_entry(database: Database) -> None:
    def act() -> None:
        with database.begin() as session:
            ledger.append(session, Entry("kernel:test", "act", "subject", "done", NOW))
            raise RuntimeError("the act failed")

    with pytest.raises(RuntimeError):
        act()
    assert verified(database).rows == 0


def test_a_detail_that_is_too_large_is_refused_and_leaves_nothing(sqlite: Database) -> None:
    with pytest.raises(ValueError, match="may have"), sqlite.begin() as session:
        ledger.append(session, Entry("kernel:test", "act", "subject", "done", NOW, {"text": "x" * 70_000}))
    assert verified(sqlite).rows == 0


@pytest.mark.rows("L8")
def test_what_lies_after_the_last_anchor_is_told(sqlite: Database) -> None:
    write(sqlite, 3)
    anchored = verified(sqlite).head
    assert verified(sqlite, anchored).tail.rows == 0
    write(sqlite, 2)
    tail = verified(sqlite, anchored).tail
    assert (tail.after, tail.rows, dict(tail.actions)) == (3, 2, {"act": 2})
    assert tail.first_at == tail.last_at == utc_text(NOW)
    assert verified(sqlite).tail.rows == 5, "no anchor vouches for any of them"
    without_guards(sqlite, "UPDATE audit SET outcome = 'refused' WHERE seq = 2")
    broken = verified(sqlite, anchored)
    assert (broken.first_bad, broken.tail.rows) == (2, 2), "it is told of a ledger that does not hold, too"


@pytest.mark.rows("L8")
def test_a_time_that_only_reads_the_same_is_found(sqlite: Database) -> None:
    write(sqlite, 3)
    without_guards(sqlite, "UPDATE audit SET at = replace(at, '+00:00', 'Z') WHERE seq = 2")
    assert verified(sqlite).first_bad == 2


@pytest.mark.rows("L8")
@pytest.mark.parametrize("text", ['a "quoted" \\ one', "line\nand\x00\x7f\u2028", "\u00fc \U0001f600", ""])
def test_what_is_hashed_is_canonical_json_whatever_the_texts_are(sqlite: Database, text: str) -> None:
    entry = ledger.Entry(text, text, text, text, NOW, {text: [text, 1, None]})
    body = (1, utc_text(NOW), text, text, text, text, ledger.canonical(entry.detail))
    hashed = hashlib.sha256(ledger.canonical((ledger.GENESIS, *body)).encode()).hexdigest()
    with sqlite.begin() as session:
        assert ledger.append(session, entry).hash == hashed
    assert verified(sqlite).ok


@pytest.mark.rows("L8")
def test_many_rows_are_verified_fast(sqlite: Database) -> None:
    """12 s for a million rows is the promise; here a twentieth of them, with room for a busy machine."""
    previous, rows = ledger.GENESIS, list[tuple[object, ...]]()
    for seq in range(1, 50_001):
        body = (seq, utc_text(NOW), "a-team/ann", "model.call", "rehearsal", "allowed", '{"run":"r"}')
        hashed = ledger.canonical((previous, *body))
        rows.append((*body, previous, hashlib.sha256(hashed.encode()).hexdigest()))
        previous = str(rows[-1][-1])
    without_guards(sqlite)
    with sqlite.engine.connect() as connection:
        connection.exec_driver_sql("INSERT INTO audit VALUES (?,?,?,?,?,?,?,?,?)", rows)
    began = time.perf_counter()
    assert verified(sqlite).rows == 50_000
    assert time.perf_counter() - began < 1.2
