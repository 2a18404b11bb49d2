"""What a model costs, by the name teams use for it: the gateway's own prices, for forecasts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from decimal import Decimal

from mcp_servers.factories.forecast import Price
from mcp_servers.gateway.models import Models
from mcp_servers.gateway.prices import Prices, Tokens
from mcp_servers.gateway.refusals import Refused

_MILLION = 1_000_000


def price_list(models: Models, prices: Prices) -> Callable[[str], Price | None]:
    """A function from a model's name to US dollars a million tokens; None where the price, or the model, is unknown."""

    def price_of(model: str) -> Price | None:
        try:
            link = models.resolve(model)
            given, produced = prices.cost(link, Tokens(_MILLION, 0)), prices.cost(link, Tokens(0, _MILLION))
        except Refused:
            return None
        return Price(Decimal(given) / _MILLION, Decimal(produced) / _MILLION)

    return price_of


def in_micro(price_of: Callable[[str], Price | None]) -> Callable[[str], tuple[int, int] | None]:
    """The same in whole micro-dollars for a million tokens in and out."""

    def price(model: str) -> tuple[int, int] | None:
        found = price_of(model)
        return None if found is None else (int(found.input_usd * _MILLION), int(found.output_usd * _MILLION))

    return price


def candidates(models: Models) -> set[str]:
    """Real models that could answer in another's place: every link of the law's chains that is configured here."""
    found: set[str] = set()
    for chain in models.law().chains:
        with contextlib.suppress(Refused):
            found |= {link.name for link in models.plan(chain).links if link.provider not in ("rehearsal", "lexical")}
    return found
