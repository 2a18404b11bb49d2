"""What could be saved (F50): only where enough calls show it, each with the figure it rests on. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

#: Fewer calls than this support nothing.
FEWEST_CALLS = 20
#: Answers of at most so many tokens are short: a cheaper model is worth a try for them.
SHORT_ANSWER = 300
#: A model that fails more often is not recommended to and not from.
MOST_FAILED = 0.05
LEAST_SAVED = 0.2
LEAST_SAVED_USD_MICRO_MONTH = 100_000
_MONTH_DAYS = 30
_MILLION = 1_000_000


@dataclass(frozen=True)
class Use:
    """Calls of one model for one purpose in the days looked at. `wasted_usd_micro` paid for calls that gave no answer."""

    purpose: str
    model: str
    calls: int
    answered: int
    tokens_in: int
    tokens_out: int
    usd_micro: int
    wasted_usd_micro: int


@dataclass(frozen=True)
class Advice:
    """`saving_usd_micro` a month, if the next weeks are like the last."""

    kind: Literal["cheaper_model", "failing_model"]
    purpose: str
    model: str
    to: str | None
    saving_usd_micro: int
    why: str


#: Micro-dollars for a million tokens in and out; None where nobody knows.
PriceOf = Callable[[str], tuple[int, int] | None]


def advise(uses: Sequence[Use], days: int, candidates: Collection[str], price_of: PriceOf) -> list[Advice]:
    """The advice that the uses of the last `days` days support, largest saving first."""
    if days < 1:
        return []
    found = [advice for use in uses if use.calls >= FEWEST_CALLS for advice in _of(use, days, candidates, price_of)]
    return sorted(found, key=lambda one: (-one.saving_usd_micro, one.purpose, one.model))


def _of(use: Use, days: int, candidates: Collection[str], price_of: PriceOf) -> list[Advice]:
    failed = 1 - use.answered / use.calls
    if failed > MOST_FAILED:
        saving = use.wasted_usd_micro * _MONTH_DAYS // days
        why = (
            f"{use.calls - use.answered} of {use.calls} calls gave no answer and were paid for; see why in ./elf audit"
        )
        worth = saving >= LEAST_SAVED_USD_MICRO_MONTH
        return [Advice("failing_model", use.purpose, use.model, None, saving, why)] if worth else []
    if use.tokens_out > SHORT_ANSWER * use.calls:
        return []
    cheaper = [
        (cost, name) for name in candidates if name != use.model and (cost := _cost(use, price_of(name))) is not None
    ]
    if not cheaper:
        return []
    cost, name = min(cheaper)
    saving = (use.usd_micro - cost) * _MONTH_DAYS // days
    if use.usd_micro - cost < use.usd_micro * LEAST_SAVED or saving < LEAST_SAVED_USD_MICRO_MONTH:
        return []
    why = (
        f"{use.calls} calls in {days} days, answers of {use.tokens_out // use.calls} tokens on average: the same tokens cost "
        f"{100 - cost * 100 // use.usd_micro} % less with {name}. Try it by an override in policies/models.yaml"
    )
    return [Advice("cheaper_model", use.purpose, use.model, name, saving, why)]


def _cost(use: Use, price: tuple[int, int] | None) -> int | None:
    """What the use's tokens cost at that price, rounded up."""
    if price is None:
        return None
    return -(-(use.tokens_in * price[0] + use.tokens_out * price[1]) // _MILLION)
