"""Messages as they were carried: who reads which, and what is still to be told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from memory import messages
from memory.messages import Answered, Sent
from memory.session import Database

START = datetime(2026, 11, 20, 10, tzinfo=UTC)


def send(database: Database, name: str, minute: int, receiver: str = "devops", correlation: str = "c") -> None:
    at, team = START + timedelta(minutes=minute), "team:executive"
    sent = Sent(name, at, correlation, "executive/ceo", team, receiver, "task", 1, ("executive", receiver), "x")
    with database.begin() as session:
        messages.record_sent(session, sent)


def answer(database: Database, name: str, minute: int, state: str = "completed", task: str | None = None) -> None:
    at = START + timedelta(minutes=minute)
    with database.begin() as session:
        messages.record_answer(session, name, Answered(at, state, "y", task))


def found(database: Database, **query: object) -> list[str]:
    with database.read() as session:
        return [one.sent.id for one in messages.latest(session, **query)]  # pyright: ignore[reportArgumentType] - a test's own


@pytest.mark.rows("F23")
def test_messages_are_found_by_team_business_and_what_moved_since(database: Database) -> None:
    for place, name in enumerate("abcd"):
        send(database, name, place, "marketing" if name == "b" else "devops", "other" if name == "c" else "c")
    answer(database, "a", 10)
    answer(database, "b", 5)
    answer(database, "d", 6)
    assert found(database) == ["d", "c", "b", "a"] and found(database, most=2) == ["d", "c"]
    assert found(database, team="marketing") == ["b"] and len(found(database, team="executive")) == 4
    assert found(database, correlation="c") == ["d", "b", "a"]
    moved = {"since": START + timedelta(minutes=6)}
    assert found(database, **moved) == ["d", "c", "a"], "c is under way"
    assert found(database, **moved, correlation="c", team="devops") == ["d", "a"]


@pytest.mark.rows("F24")
def test_a_task_is_late_while_its_last_message_is(database: Database) -> None:
    send(database, "a", 0)
    with database.begin() as session:
        messages.record_task(session, "a", "t", "k")
        assert messages.senders_of(session, "devops", task="t") == {"team:executive"}
        assert not messages.is_late(session, "devops", "t")
        messages.record_overdue(session, "a")
        assert messages.is_late(session, "devops", "t")
    answer(database, "a", 5, messages.LATE, "t")
    with database.read() as session:
        assert messages.is_late(session, "devops", "t") and not messages.is_late(session, "marketing", "t")
        assert messages.tasks_of(session, "devops", "team:executive") == {"t": True}
    send(database, "b", 6)
    answer(database, "b", 7, task="t")
    with database.read() as session:
        assert not messages.is_late(session, "devops", "t")
        assert messages.tasks_of(session, "devops", "team:executive") == {"t": False}
