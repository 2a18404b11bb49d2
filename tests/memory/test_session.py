"""What happens when the database takes no more: a sentence, and nothing half-written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from memory import ledger
from memory.ledger import Entry
from memory.session import Database, Unwritable

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.rows("L5")
def test_a_full_disk_is_said_in_a_sentence_with_the_fix_and_leaves_nothing_half_written(sqlite: Database) -> None:
    def act() -> None:
        with sqlite.begin() as session:
            # SQLite's own way to be full: not one page more than there are.
            pages = session.execute(text("PRAGMA page_count")).scalar_one()
            session.execute(text(f"PRAGMA max_page_count = {pages}"))
            for number in range(50):
                ledger.append(session, Entry("kernel:test", "act", str(number), "done", NOW, {"text": "x" * 20_000}))

    with pytest.raises(Unwritable, match=r"disk is full.*free some room"):
        act()
    with sqlite.read() as session:
        assert ledger.verify(session).rows == 0
