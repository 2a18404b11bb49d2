"""The seven answers are one pure decision; shedding load is its thin doer in the gateway."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from mcp_servers.resilience.answers import Answer, AnswerLaw, Failure, Situation, answer_to
from mcp_servers.resilience.load import LoadGate, Overloaded

LAW = AnswerLaw()
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
LAST = Situation(attempts=3)

CASES: list[tuple[Failure, Situation, Answer]] = [
    (Failure.TIMEOUT, Situation(), Answer.RETRY),
    (Failure.RATE_LIMIT, Situation(attempts=2), Answer.RETRY),
    (Failure.OUTAGE, replace(LAST, another_provider=True, cached=True), Answer.SWITCH),
    (Failure.QUOTA, Situation(another_provider=True), Answer.SWITCH),
    (Failure.OUTAGE, replace(LAST, cached=True, lesser=True), Answer.CACHE),
    (Failure.QUOTA, Situation(lesser=True, can_wait=True), Answer.DEGRADE),
    (Failure.QUOTA, Situation(can_wait=True), Answer.QUEUE),
    (Failure.OVERLOAD, Situation(can_wait=True), Answer.QUEUE),
    (Failure.OVERLOAD, Situation(), Answer.SHED),
    (Failure.OUTAGE, Situation(failures_in_a_row=5), Answer.BREAK),
    (Failure.OUTAGE, Situation(failures_in_a_row=5, another_provider=True), Answer.SWITCH),
    (Failure.REFUSED, Situation(another_provider=True), Answer.GIVE_UP),
    (Failure.TIMEOUT, Situation(repeatable=False, another_provider=True), Answer.GIVE_UP),
    (Failure.MALFORMED, LAST, Answer.GIVE_UP),
    (Failure.RATE_LIMIT, Situation(retry_after=timedelta(minutes=5), can_wait=True), Answer.QUEUE),
    (Failure.TIMEOUT, Situation(time_left=timedelta(milliseconds=100), cached=True), Answer.CACHE),
]


@pytest.mark.rows("F54")
@pytest.mark.parametrize(("failure", "situation", "wanted"), CASES)
def test_each_failure_has_its_answer(failure: Failure, situation: Situation, wanted: Answer) -> None:
    decision = answer_to(failure, situation, LAW)
    assert decision.answer is wanted
    assert decision.why


@pytest.mark.rows("F54")
def test_whatever_happens_a_no_stays_a_no_nothing_is_done_twice_and_every_wait_ends() -> None:
    bools = (False, True)
    for failure, attempts, row, repeatable, other, cached, lesser, can_wait in product(
        Failure, (1, 3, 99), (1, 5), bools, bools, bools, bools, bools
    ):
        situation = Situation(attempts, row, repeatable, other, cached, lesser, can_wait)
        decision = answer_to(failure, situation, LAW)
        assert timedelta(0) <= decision.wait <= LAW.longest_wait
        if failure is Failure.REFUSED:
            assert decision.answer is Answer.GIVE_UP
        if not repeatable or attempts >= LAW.attempts:
            assert decision.answer is not Answer.RETRY
        if decision.answer is Answer.SWITCH:
            assert other
        if failure is not Failure.OVERLOAD:
            assert decision.answer is not Answer.SHED


@pytest.mark.rows("F54")
def test_load_is_shed_beyond_what_may_be_under_way_and_what_never_comes_back_is_forgotten() -> None:
    load = LoadGate(most=2, come_again=timedelta(seconds=5))
    for key in ("a", "b"):
        load.check(NOW)
        load.began(key, NOW + timedelta(minutes=1))
    with pytest.raises(Overloaded, match="2 model calls are under way") as first:
        load.check(NOW)
    assert first.value.opens_at == NOW + timedelta(seconds=5)
    load.ended("a")
    load.check(NOW)
    load.began("c", NOW + timedelta(minutes=1))
    load.check(NOW + timedelta(minutes=2))
    assert load.under_way == 0
    load.pressed = "This machine is out of memory"
    with pytest.raises(Overloaded, match="out of memory"):
        load.check(NOW)
