"""The circuit breaker: five failures open it, one trial closes it; time is an argument."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from teams.resilience import CircuitBreaker, CircuitOpen, with_circuit_breaker
from teams.resilience.breaker import Circuit, State

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=31)


def opened() -> CircuitBreaker:
    breaker = CircuitBreaker("a provider", clock=lambda: NOW)
    for _ in range(5):
        assert breaker.allow()
        breaker.failure()
    return breaker


@pytest.mark.rows("F55")
def test_it_opens_after_five_failures_in_a_row_and_nobody_asks_until_the_recovery_time_is_over() -> None:
    breaker = CircuitBreaker("a provider", clock=lambda: NOW)
    for _ in range(4):
        breaker.failure()
    breaker.success()
    for _ in range(4):
        breaker.failure()
    assert breaker.allow(), "a success in between begins the count anew"
    breaker.failure()
    assert not breaker.allow()
    assert not breaker.allow(NOW + timedelta(seconds=29))
    with pytest.raises(CircuitOpen, match="10:00:30"):
        breaker.check()


@pytest.mark.rows("F55")
def test_half_open_exactly_one_tries_however_many_ask_at_once() -> None:
    for _ in range(20):
        breaker = opened()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(breaker.allow, [LATER] * 32))
        assert answers.count(True) == 1


@pytest.mark.rows("F55")
def test_a_trial_that_works_closes_it_and_one_that_fails_opens_it_for_as_long_again() -> None:
    breaker = opened()
    assert breaker.allow(LATER)
    breaker.failure(LATER)
    assert not breaker.allow(LATER + timedelta(seconds=29))
    again = LATER + timedelta(seconds=30)
    assert breaker.allow(again)
    breaker.success(again)
    assert breaker.state == State()


def test_a_trial_unheard_of_is_given_up_and_an_abandoned_one_proves_nothing() -> None:
    breaker = opened()
    assert breaker.allow(LATER) and not breaker.allow(LATER)
    assert breaker.allow(LATER + timedelta(seconds=31)), "the first who tried never came back"
    breaker.abandoned(LATER + timedelta(seconds=32))
    assert breaker.state.circuit is Circuit.OPEN


def test_late_news_of_calls_made_before_it_opened_change_nothing() -> None:
    breaker = opened()
    since = breaker.state.since
    breaker.success(NOW + timedelta(seconds=5))
    breaker.failure(NOW + timedelta(seconds=20))
    assert (breaker.state.circuit, breaker.state.since) == (Circuit.OPEN, since)


def test_limits_that_make_no_sense_are_refused() -> None:
    for failures, seconds in ((0, 30), (5, 0), (5, -1)):
        with pytest.raises(ValueError, match="at least 1 failure"):
            CircuitBreaker("x", failures, timedelta(seconds=seconds))


@pytest.mark.rows("F52", "F55")
async def test_the_decorator_stops_calling_what_fails_and_lets_wrong_arguments_through() -> None:
    now = [NOW]
    breaker = CircuitBreaker("a provider", failures=2, clock=lambda: now[0])
    calls: list[str] = []

    @with_circuit_breaker(breaker, on=ConnectionError)
    async def ask(word: str) -> str:
        calls.append(word)
        if word == "down":
            raise ConnectionError
        if word == "wrong":
            raise ValueError
        return word

    @with_circuit_breaker(breaker, on=ConnectionError)
    def ask_now(word: str) -> str:
        calls.append(word)
        return word

    for word, error in (("down", ConnectionError), ("wrong", ValueError), ("down", ConnectionError)):
        with pytest.raises(error):
            await ask(word)
    with pytest.raises(ConnectionError):
        await ask("down")
    with pytest.raises(CircuitOpen):
        await ask("fine")
    with pytest.raises(CircuitOpen):
        ask_now("fine")
    assert calls == ["down", "wrong", "down", "down"]
    now[0] += timedelta(minutes=1)
    assert ask_now("fine") == "fine"
    assert await ask("fine") == "fine"
