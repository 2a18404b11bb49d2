"""Fallback, cost tracking and cache, for plain and async functions, and all of them one on the other."""

from __future__ import annotations

import logging
import operator

import pytest

from teams.resilience import (
    CircuitBreaker,
    Tally,
    with_cache,
    with_circuit_breaker,
    with_cost_tracking,
    with_fallback,
    with_retry,
)


@pytest.mark.rows("F52")
async def test_a_fallback_answers_when_the_first_fails_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def cheap(word: str) -> str:
        return f"cheap {word}"

    def broken(word: str) -> str:
        raise TimeoutError(word)

    @with_fallback(broken, cheap, on=(ConnectionError, TimeoutError))
    async def dear(word: str) -> str:
        if word == "wrong":
            raise ValueError(word)
        raise ConnectionError(word)

    @with_fallback(cheap)
    def plain(word: str) -> str:
        raise ConnectionError(word)

    with caplog.at_level(logging.WARNING):
        assert await dear("news") == "cheap news"
        assert plain("news") == "cheap news"
    assert len(caplog.records) == 3 and "stands in" in caplog.text
    with pytest.raises(ValueError, match="wrong"):
        await dear("wrong")


def test_when_everything_fails_the_last_error_comes_out() -> None:
    def second() -> str:
        raise TimeoutError("second")

    @with_fallback(second)
    def first() -> str:
        raise ConnectionError("first")

    with pytest.raises(TimeoutError, match="second"):
        first()
    with pytest.raises(ValueError, match="something to fall back on"):
        with_fallback()

    async def later() -> str:
        return "later"

    with pytest.raises(TypeError, match="not async"):
        with_fallback(later)(first)  # pyright: ignore[reportArgumentType] - that is the test


@pytest.mark.rows("F52", "F44")
async def test_costs_are_counted_for_good_and_bad_calls_and_an_unknown_price_is_never_free() -> None:
    tally, times = Tally(), iter(range(100))

    @with_cost_tracking(tally, usd_micro=250, name="search", clock=lambda: float(next(times)))
    def search(word: str) -> str:
        if not word:
            raise ValueError(word)
        return word

    @with_cost_tracking(tally, usd_micro=lambda answer: answer["price"], name="translate")
    async def translate(price: object) -> dict[str, object]:
        return {"price": price} if price is not None else {}

    search("a")
    with pytest.raises(ValueError):
        search("")
    for price in (40, -1, float("nan"), "10", True, None):
        await translate(price)
    sums = tally.sums()
    assert vars(sums["search"]) == {"calls": 2, "failed": 1, "seconds": 2.0, "usd_micro": 500, "unpriced": 0}
    assert (sums["translate"].usd_micro, sums["translate"].unpriced) == (40, 5)


@pytest.mark.rows("F54")
async def test_an_answer_is_given_again_while_it_is_fresh_and_an_old_one_only_when_asking_fails() -> None:
    now, asked, down = [0.0], list[str](), [False]

    @with_cache(10, stale_seconds=100, most=2, clock=lambda: now[0])
    async def look(word: str) -> str:
        asked.append(word)
        if down[0]:
            raise ConnectionError
        return f"{word} at {now[0]:.0f}"

    assert [await look("a"), await look("a")] == ["a at 0", "a at 0"]
    now[0] = 11
    assert await look("a") == "a at 11"
    down[0], now[0] = True, 60
    assert await look("a") == "a at 11"
    now[0] = 112
    with pytest.raises(ConnectionError):
        await look("a")
    down[0] = False
    for word in ("a", "b", "c", "a"):
        await look(word)
    assert asked[-4:] == ["a", "b", "c", "a"], "only the two youngest are kept"

    @with_cache(10, clock=lambda: now[0])
    def plain(word: str, *, loud: bool) -> str:
        asked.append(word)
        return word

    assert (plain("x", loud=True), plain("x", loud=True), plain("x", loud=False)) == ("x", "x", "x")
    assert asked[-2:] == ["x", "x"]


@pytest.mark.rows("F52")
def test_all_four_work_one_on_the_other() -> None:
    tally, asked = Tally(), list[int]()
    breaker = CircuitBreaker("a provider", failures=2)

    @with_cost_tracking(tally, usd_micro=10, name="ask")
    @with_fallback(operator.neg)
    @with_retry("fixed", base=0, sleep=lambda _: None)
    @with_circuit_breaker(breaker)
    def ask(number: int) -> int:
        asked.append(number)
        raise ConnectionError

    assert [ask(1), ask(2)] == [-1, -2]
    assert asked == [1, 1], "two failures opened the circuit; nobody knocked again"
    assert (tally.sums()["ask"].calls, tally.sums()["ask"].failed) == (2, 0)
