"""The facts of past decisions: once, compressed, of each change's last verdict, and no more than fit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from sqlalchemy import text

from memory import changes, decisions, migrate
from memory.change_tables import FactsRow
from memory.changes import Judged
from memory.session import Database

NOW = datetime(2026, 11, 20, tzinfo=UTC)
pytestmark = pytest.mark.rows("L3")


def facts(number: int, head: str, files: int = 10) -> dict[str, Any]:
    return {
        "number": number,
        "head": head,
        "files": [{"path": f"teams/x/{n}.py", "mode": "100644"} for n in range(files)],
    }


def judge(database: Database, number: int, known: dict[str, Any]) -> str | None:
    with database.begin() as session:
        sha = decisions.facts_sha(known)
        at = NOW + timedelta(minutes=number)
        changes.record_verdict(session, Judged(number, str(known["head"]), "b", "t", "new_team", "allow", {}, at, sha))
        return decisions.keep_facts(session, number, known)


def kept(database: Database) -> list[int]:
    """The changes whose facts can be replayed."""
    with database.read() as session:
        return [one.number for one in decisions.past(session) if one.facts is not None]


def test_facts_come_back_equal_and_take_a_fraction_of_their_length(database: Database) -> None:
    known = facts(1, "a" * 40, files=1000)
    sha = judge(database, 1, known)
    with database.read() as session:
        assert sha is not None and decisions.facts_of(session, sha) == known
        [row] = session.query(FactsRow)
        assert row.size == len(row.packed) < len(str(known)) / 8


def test_a_change_that_is_judged_again_and_again_keeps_the_facts_of_its_last_verdict_alone(database: Database) -> None:
    for number in (1, 2):
        for head in "abcdef":
            judge(database, number, facts(number, head * 40))
    with database.read() as session:
        assert session.query(FactsRow).count() == 2
        assert [str(one.facts and one.facts["head"])[:1] for one in decisions.past(session)] == ["f", "f"]


def test_what_does_not_fit_is_forgotten_oldest_first_and_is_then_without_facts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(database, 1, facts(1, "a" * 40))
    with database.read() as session:
        size = session.query(FactsRow).one().size
    monkeypatch.setattr(decisions, "MOST_KEPT", 3 * size + 20)
    for number in range(2, 7):
        judge(database, number, facts(number, "a" * 40))
    assert kept(database) == [4, 5, 6]
    with database.read() as session:
        assert len(decisions.past(session)) == 6, "the verdicts themselves stay"
    monkeypatch.setattr(decisions, "MOST_KEPT", 10**9)
    judge(database, 7, facts(7, "a" * 40))
    judge(database, 8, facts(8, "a" * 40))
    assert len(kept(database)) == 5, "without a bound nothing is forgotten"


@pytest.mark.rows("F61")
def test_the_step_packs_what_is_there_and_can_be_taken_back(database: Database) -> None:
    for head in "ab":
        judge(database, 1, facts(1, head * 40))

    def move(to: str, step: Any) -> None:
        with database.engine.connect() as connection:
            step(vars(migrate)["_config"](connection), to)
            connection.commit()

    move("0011", command.downgrade)
    with database.engine.connect() as connection:
        [(body,)] = connection.execute(text("SELECT body FROM facts")).all()
        assert '"head":"bbbb' in body
        connection.execute(text("INSERT INTO facts (sha, body) VALUES ('orphan', '{}')"))
        connection.commit()
    move("head", command.upgrade)
    assert migrate.drift(database) == []
    with database.read() as session:
        assert [one.facts for one in decisions.past(session)] == [facts(1, "b" * 40)]
        assert session.query(FactsRow).count() == 1, "what no last verdict names is not kept"
