"""`@with_retry`: five policies, jitter, three tries; no test waits."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from teams.resilience import CircuitOpen, with_retry
from teams.resilience.waits import Policy


class Weather:
    """Fails so often, then answers; remembers what was waited."""

    def __init__(self, failures: int, error: Callable[[], Exception] = ConnectionError) -> None:
        self.left, self.error = failures, error
        self.calls = 0
        self.waited: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)

    async def async_sleep(self, seconds: float) -> None:
        self.waited.append(seconds)

    def ask(self, word: str = "fine") -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error()
        return word

    def retried(self, policy: Policy = "exponential", **more: Any) -> Callable[[], str]:
        given: dict[str, Any] = {"jitter": False, "base": 1.0, "most": 60.0, "sleep": self.sleep} | more

        @with_retry(policy, **given)
        def ask() -> str:
            return self.ask()

        return ask


WAITS: dict[Policy, list[float]] = {
    "exponential": [1, 2, 4, 8, 16, 32, 60],
    "linear": [1, 2, 3, 4, 5, 6, 7],
    "fixed": [1, 1, 1, 1, 1, 1, 1],
    "fibonacci": [1, 1, 2, 3, 5, 8, 13],
    "adaptive": [1, 2, 4, 8, 16, 32, 60],
}


@pytest.mark.rows("F56")
@pytest.mark.parametrize("policy", list(WAITS))
def test_each_policy_waits_as_it_is_named(policy: Policy) -> None:
    weather = Weather(7)
    assert weather.retried(policy, attempts=8)() == "fine"
    assert weather.waited == WAITS[policy]


@pytest.mark.rows("F56")
def test_three_tries_are_the_default_and_the_last_error_comes_out_as_it_is() -> None:
    weather = Weather(9)
    with pytest.raises(ConnectionError):
        weather.retried()()
    assert (weather.calls, len(weather.waited)) == (3, 2)


@pytest.mark.rows("F56")
def test_jitter_spreads_the_waits_and_never_lengthens_them() -> None:
    waited: list[float] = []
    for seed in range(200):
        weather = Weather(2)
        weather.retried("fixed", jitter=True, base=10.0, chance=random.Random(seed))()
        waited += weather.waited
    assert 5.0 <= min(waited) < 5.2 and 9.8 < max(waited) <= 10.0
    assert len(set(waited)) == len(waited)


@pytest.mark.rows("F56")
def test_the_adaptive_policy_learns_from_every_call_and_believes_what_an_error_asks_for() -> None:
    weather = Weather(2)
    ask = weather.retried("adaptive")
    ask()
    assert weather.waited == [1, 2]
    weather.left, weather.waited = 1, []
    ask()
    assert weather.waited == [3.0], "the pace of 4 was eased by one success"
    for _ in range(40):
        ask()
    weather.left, weather.waited = 1, []
    ask()
    assert weather.waited[0] < 0.1, "after a long time of good weather it tries again at once"

    class Busy(ConnectionError):
        retry_after = 7

    class Absurd(ConnectionError):
        retry_after = 10**9

    for error, wait in ((Busy, 7.0), (Absurd, 60.0)):
        asked = Weather(1, error)
        asked.retried("adaptive")()
        assert asked.waited == [wait]


def test_what_cannot_pass_is_not_tried_again() -> None:
    for error in (ValueError, PermissionError, lambda: CircuitOpen("it", None)):
        weather = Weather(1, error)
        with pytest.raises(Exception):  # noqa: B017 - whatever it is, it comes out
            weather.retried(on=ConnectionError)()
        assert weather.calls == 1
    weather = Weather(1, lambda: CircuitOpen("it", None))
    with pytest.raises(CircuitOpen):
        weather.retried(on=Exception)()
    assert weather.calls == 1, "an open circuit is not knocked at again"


@pytest.mark.rows("F52")
async def test_async_functions_are_retried_too_and_keep_their_names() -> None:
    weather = Weather(2)

    @with_retry("fibonacci", jitter=False, base=1.0, async_sleep=weather.async_sleep)
    async def ask_the_weather(word: str, *, loud: bool = False) -> str:
        """Asks."""
        return weather.ask(word.upper() if loud else word)

    assert await ask_the_weather("rain", loud=True) == "RAIN"
    assert (weather.calls, weather.waited) == (3, [1, 1])
    assert (ask_the_weather.__name__, ask_the_weather.__doc__) == ("ask_the_weather", "Asks.")


def test_a_policy_that_is_not_there_and_no_attempts_are_refused_when_decorating() -> None:
    with pytest.raises(ValueError, match="fibonacci or adaptive"):
        with_retry("hopeful")  # pyright: ignore[reportArgumentType] - that is the test
    with pytest.raises(ValueError, match="at least 1 attempt"):
        with_retry(attempts=0)
