"""Intents, rate slots and derived states, on both databases where they differ."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from threading import Barrier

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from memory import change_state, changes, slots
from memory.change_state import Progress, State, state_of
from memory.change_tables import IntentRow, SlotRow
from memory.changes import End, Intent, Judged, NameTaken
from memory.session import Database
from memory.tables import DeploymentRow
from tests.git.desk_world import LEAD, OWNER, START

DAY = timedelta(hours=24)


def reserve(session: Session, key: str, at_most: int | None, at: datetime, number: int | None = None) -> bool:
    """A new team's place among at most so many in a rolling day; None is no limit."""
    room = slots.Room("new_teams", at_most or 0, ("new_team",), at - DAY, lambda merged: merged + DAY)
    return slots.reserve(session, slots.Place(key, "new_team", LEAD, number), [] if at_most is None else [room], at)


def an_intent(key: str = "k1", subject: str = "marketing-team") -> Intent:
    return Intent(
        key, "new_team", subject, LEAD, OWNER, "gap", "why", f"auto/new-team/{subject}-{key}", {"spec": 1}, START
    )


def ask(database: Database, key: str, subject: str) -> str:
    try:
        with database.begin() as session:
            reserve(session, key, 5, START)
            changes.record_intent(session, an_intent(key, subject))
    except (slots.NoRoom, NameTaken) as refusal:
        return type(refusal).__name__
    return "reserved"


def rows(database: Database) -> tuple[int, int]:
    with database.read() as session:
        found = [session.scalar(select(func.count()).select_from(table)) or 0 for table in (SlotRow, IntentRow)]
    return found[0], found[1]


@pytest.mark.rows("F104")
def test_fifty_parallel_proposals_against_five_places_give_exactly_five(database: Database) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(partial(ask, database), (f"k{n}" for n in range(50)), (f"team-{n}" for n in range(50))))
    assert (answers.count("reserved"), answers.count("NoRoom")) == (5, 45)
    assert rows(database) == (5, 5)


@pytest.mark.rows("F104")
def test_counting_first_and_writing_later_would_let_more_through(sqlite: Database) -> None:
    """The planted hole: ten at once, each counting in one transaction and writing in the next."""

    everybody_counted = Barrier(10)

    def careless(n: int) -> None:
        with sqlite.read() as session:
            count = len(slots.taken(session, START - DAY))
        everybody_counted.wait(timeout=30)
        if count < 5:
            with sqlite.begin() as session:
                row = {"key": f"k{n}", "scope": "new_team", "state": "reserved", "reserved_at": START}
                session.execute(insert(SlotRow).values(**row))

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(careless, range(10)))
    assert rows(sqlite)[0] == 10


def test_fifty_parallel_proposals_of_one_name_give_one(database: Database) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(partial(ask, database), (f"k{n}" for n in range(50)), ["marketing-team"] * 50))
    assert answers.count("reserved") == 1
    assert rows(database) == (1, 1)


@pytest.mark.rows("F104")
def test_a_refused_reservation_leaves_nothing_and_says_when_there_is_room(sqlite: Database) -> None:
    with sqlite.begin() as session:
        for number in range(1, 6):
            reserve(session, f"k{number}", 5, START, number)
            slots.consume(session, number, "new_team", LEAD, START + timedelta(minutes=number))
    with pytest.raises(slots.NoRoom) as refused, sqlite.begin() as session:
        reserve(session, "k6", 5, START + timedelta(hours=1))
    assert refused.value.retry_at == START + timedelta(hours=24, minutes=1)
    assert rows(sqlite) == (5, 0)
    with sqlite.begin() as session:
        assert reserve(session, "k6", 5, START + timedelta(hours=24, minutes=1))
    with pytest.raises(slots.NoRoom, match="no new teams are allowed"), sqlite.begin() as session:
        reserve(session, "k7", 0, START)


@pytest.mark.rows("F104")
def test_a_place_is_given_back_by_a_close_and_taken_again_by_the_same_key(sqlite: Database) -> None:
    with sqlite.begin() as session:
        assert reserve(session, "k1", 1, START, 1)
        assert not reserve(session, "k1", 1, START, 1)
        slots.release(session, 1, START)
        assert reserve(session, "k2", 1, START, 2)
    with pytest.raises(slots.NoRoom), sqlite.begin() as session:
        reserve(session, "k1", 1, START, 1)
    with sqlite.begin() as session:
        slots.release(session, 2, START)
        assert reserve(session, "k1", 1, START, 1)
        assert reserve(session, "k3", None, START)


def test_one_key_is_one_intent_and_the_first_one_s_wish_stands(sqlite: Database) -> None:
    with sqlite.begin() as session:
        first = changes.record_intent(session, an_intent())
        assert changes.record_intent(session, an_intent("k1", "another-team")) == first
        with pytest.raises(NameTaken, match="being made"):
            changes.record_intent(session, an_intent("k2"))
        assert changes.opened(session, "k1", 7)
        assert not changes.opened(session, "k1", 8)
        assert changes.intent_of(session, 7) == changes.intent_on(session, first.branch)
        with pytest.raises(NameTaken, match="change 7"):
            changes.record_intent(session, an_intent("k2"))
        changes.record_end(session, End(7, "closed", "new_team", "h", None, None, None, START))
        assert changes.record_intent(session, an_intent("k2")).key == "k2"
        assert changes.withdraw(session, "k2") and not changes.withdraw(session, "k1")


def test_an_end_is_recorded_once_and_a_reopened_change_may_still_be_merged(sqlite: Database) -> None:
    closed = End(7, "closed", "new_team", "h", None, None, None, START)
    merged = End(7, "merged", "new_team", "h", "c", "teams/a", "t", START)
    with sqlite.begin() as session:
        assert changes.record_end(session, closed) and not changes.record_end(session, closed)
        assert changes.record_end(session, merged) and not changes.record_end(session, closed)
        assert changes.end_of(session, 7) == merged
        assert [row.state for row in slots.taken(session, START - DAY)] == ["consumed"]


def test_a_verdict_is_written_again_only_if_it_or_what_it_is_of_changed(sqlite: Database) -> None:
    judged = Judged(7, "h", "b", "p", "new_team", "deny", {"reason": "x"}, START)
    with sqlite.begin() as session:
        assert changes.record_verdict(session, judged)
        assert not changes.record_verdict(session, replace(judged, at=START + DAY))
        assert changes.record_verdict(session, replace(judged, base="b2"))
        found = changes.last_verdict(session, 7)
    assert found is not None and found.base == "b2"


def merged_at(number: int, minute: int, kind: str = "change_team", tree: str = "t1") -> End:
    return End(number, "merged", kind, "h", "c", "teams/marketing_team", tree, START + timedelta(minutes=minute))


CLOSED = End(7, "closed", "new_team", "h", None, None, None, START)


@pytest.mark.rows("F102", "L6")
@pytest.mark.parametrize(
    ("progress", "state"),
    [
        (Progress(), State.INTENDED),
        (Progress(7), State.PROPOSED),
        (Progress(7, "needs_approval", START), State.JUDGED),
        (Progress(7, "deny", START), State.REFUSED),
        (Progress(7, "allow", START), State.APPROVED),
        (Progress(7, "allow", START, merged_at(7, 1)), State.MERGED),
        (Progress(7, "allow", START, merged_at(7, 1), START), State.DEPLOYED),
        (Progress(7, "allow", START, merged_at(7, 1), START, START), State.VERIFIED),
        (Progress(7, "allow", START, merged_at(7, 1), START, START, 8), State.ROLLED_BACK),
        (Progress(7, "allow", START, CLOSED), State.CLOSED),
        (Progress(7, "deny", START, CLOSED, empty=True), State.SUPERSEDED),
    ],
)
def test_the_state_follows_from_the_facts(progress: Progress, state: State) -> None:
    assert state_of(progress) is state


@pytest.mark.rows("F102", "L6")
def test_deployed_verified_and_rolled_back_are_read_from_evidence(sqlite: Database) -> None:
    def state(number: int) -> State:
        with sqlite.read() as session:
            return state_of(change_state.progress(session, number))

    def deployment(at: datetime, healthy_at: datetime | None, tree: str = "t1") -> DeploymentRow:
        return DeploymentRow(
            id=f"d{at.minute}{tree}",
            team="marketing-team",
            tree=tree,
            commit="c",
            started_at=at,
            healthy_at=healthy_at,
            inbound_token="x",
        )

    with sqlite.begin() as session:
        changes.record_end(session, merged_at(7, 1))
    assert state(7) is State.MERGED
    with sqlite.begin() as session:
        session.add(deployment(START, START))
    assert state(7) is State.MERGED, "a deployment before the merge proves nothing"
    with sqlite.begin() as session:
        session.add(deployment(START + timedelta(minutes=2), None))
    assert state(7) is State.DEPLOYED
    with sqlite.begin() as session:
        session.add(deployment(START + timedelta(minutes=3), START + timedelta(minutes=4)))
    assert state(7) is State.VERIFIED
    with sqlite.begin() as session:
        changes.record_end(session, merged_at(8, 10, "rollback_team", "t0"))
    assert state(7) is State.ROLLED_BACK
