"""What a team would cost a month, before it exists: pure arithmetic whose assumptions are part of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from teams.spec import TeamSpec

DAYS = 30


class UnknownPrice(Exception):
    """A model without a price cannot be forecast, and unknown is a no. Its text names the model."""


@dataclass(frozen=True)
class Price:
    """US dollars a million tokens."""

    input_usd: Decimal
    output_usd: Decimal


@dataclass(frozen=True)
class Assumptions:
    """What is not known beforehand."""

    requests_a_day: int = 20
    #: Model calls for one piece of work: the call, and one more after a tool's answer.
    calls_a_piece: int = 2
    input_tokens_a_call: int = 2_000
    output_tokens_a_call: int = 600


@dataclass(frozen=True)
class Forecast:
    """`usd_month` is what is expected, never more than the daily budget lets through."""

    usd_month: Decimal
    basis: tuple[str, ...]


def forecast(spec: TeamSpec, prices: Mapping[str, Price], assumed: Assumptions = Assumptions()) -> Forecast:
    """The cost of a month of `DAYS` days. `prices` has a price for each model of the spec, else `UnknownPrice`."""
    by_model: dict[str, int] = {}
    for name, calls in calls_a_request(spec, assumed).items():
        member = next(member for member in spec.members if member.name == name)
        model = spec.model_of(member)
        by_model[model] = by_model.get(model, 0) + calls
    daily = Decimal(0)
    basis = [
        f"{assumed.requests_a_day} requests a day, {DAYS} days",
        f"{assumed.input_tokens_a_call} tokens in and {assumed.output_tokens_a_call} out a model call",
    ]
    for model, calls in sorted(by_model.items()):
        if model not in prices:
            raise UnknownPrice(f"the price of the model '{model}' is unknown; choose a model that has a price")
        price = prices[model]
        cost = assumed.input_tokens_a_call * price.input_usd + assumed.output_tokens_a_call * price.output_usd
        daily += assumed.requests_a_day * calls * cost / 1_000_000
        basis.append(f"{calls} calls a request to {model} (${price.input_usd} in, ${price.output_usd} out a million)")
    if daily > spec.daily_budget_usd:
        daily = spec.daily_budget_usd
        basis.append(f"bounded by the daily budget of ${spec.daily_budget_usd}")
    return Forecast((daily * DAYS).quantize(Decimal("0.01"), ROUND_UP), tuple(basis))


def calls_a_request(spec: TeamSpec, assumed: Assumptions) -> dict[str, int]:
    """Model calls each member makes for one request."""
    if spec.process == "hierarchical":
        # The manager works, and asks every colleague once in the worst ordinary case.
        colleagues = {member.name: 1 for member in spec.members if not member.manager}
        return {spec.manager.name: assumed.calls_a_piece + len(colleagues), **colleagues}
    calls: dict[str, int] = {}
    for piece in spec.work:
        calls[piece.member] = calls.get(piece.member, 0) + assumed.calls_a_piece
    if spec.skeptic:
        calls[spec.skeptic.name] = calls.get(spec.skeptic.name, 0) + 1
    calls[spec.manager.name] = calls.get(spec.manager.name, 0) + 1
    return calls
