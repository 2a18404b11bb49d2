"""What a call costs, in whole micro-dollars, always rounded up. A price nobody knows is a no.

List prices come from genai-prices, offline. The rehearsal model costs nothing. A server at a private or loopback address is the
company's own hardware and costs nothing here; any other server needs a price that is known or given.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Literal
from urllib.parse import urlsplit

from genai_prices import Usage, calc_price

from mcp_servers.gateway.refusals import Refused

MICRO = 1_000_000
Provider = Literal["rehearsal", "lexical", "openai", "anthropic", "local"]
#: Answered by ourselves, for nothing.
_OURS = ("rehearsal", "lexical")


@dataclass(frozen=True)
class Link:
    """One model at one provider."""

    provider: Provider
    model: str

    @property
    def name(self) -> str:
        """As the gateway names it: `rehearsal`, `lexical`, `openai/<model>`, `anthropic/<model>`, `local/<model>`."""
        return self.model if self.provider in _OURS else f"{self.provider}/{self.model}"


@dataclass(frozen=True)
class Tokens:
    """Tokens of a call; `input` includes those read from and written to the provider's cache."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True)
class Rate:
    """US dollars for a million tokens."""

    input: Decimal
    output: Decimal


class PriceUnknown(Refused):
    """Nobody knows what the call would cost, so it is not made."""

    def __init__(self, link: Link) -> None:
        super().__init__(
            "price_unknown",
            f"The price of {link.name} is not known, so nothing is spent on it. Use a model with a list price, or set its "
            "price for a million tokens in the settings.",
        )


class Prices:
    """Costs by provider. `base_url` and `base_url_rate` describe the server behind `local/`."""

    def __init__(self, base_url: str | None = None, base_url_rate: Rate | None = None) -> None:
        self._base_url = base_url
        self._rate = base_url_rate
        self._own_hardware = base_url is not None and is_own_hardware(base_url)

    def cost(self, link: Link, tokens: Tokens) -> int:
        """Micro-dollars of a call that was made. Raises `PriceUnknown`."""
        if link.provider in _OURS:
            return 0
        if link.provider == "local":
            return self._cost_at_server(link, tokens)
        return _listed(link, tokens, provider_id=link.provider)

    def upper_bound(self, link: Link, tokens_in: int, tokens_out: int) -> int:
        """The most a call with so many tokens can cost: all of its input plain, or all of it written to a cache."""
        plain = self.cost(link, Tokens(tokens_in, tokens_out))
        return max(plain, self.cost(link, Tokens(tokens_in, tokens_out, cache_write=tokens_in)))

    def basis(self, link: Link) -> str:
        """Where the price comes from, for people to read."""
        if link.provider in _OURS:
            return f"{link.provider}: no model is paid"
        if link.provider != "local":
            return "list price"
        if self._rate is not None:
            return "price from the settings"
        return "own hardware: 0" if self._own_hardware else "list price"

    def _cost_at_server(self, link: Link, tokens: Tokens) -> int:
        if self._rate is not None:
            return _micro((self._rate.input * tokens.input + self._rate.output * tokens.output) / 1_000_000)
        if self._own_hardware:
            return 0
        return _listed(link, tokens, provider_api_url=self._base_url)


def is_own_hardware(base_url: str) -> bool:
    """Whether the address is loopback or private. A host name is not looked up, and only `localhost` counts."""
    host = urlsplit(base_url).hostname or ""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or (address.is_private and not address.is_unspecified)


def _listed(link: Link, tokens: Tokens, **where: str | None) -> int:
    usage = Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read or None,
        cache_write_tokens=tokens.cache_write or None,
    )
    try:
        return _micro(calc_price(usage, link.model, **where).total_price)  # pyright: ignore[reportArgumentType, reportCallIssue] - one of two overloads, by name
    except LookupError as error:
        raise PriceUnknown(link) from error


def _micro(usd: Decimal) -> int:
    return int((usd * MICRO).to_integral_value(ROUND_CEILING))
