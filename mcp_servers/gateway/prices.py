"""What a call costs, in whole micro-dollars, always rounded up. A price nobody knows is a no.

List prices come from genai-prices, offline. The rehearsal model costs nothing. A price that people wrote goes before all others;
else a server at a private or loopback address is the company's own hardware and costs nothing here; any other needs a list price.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from genai_prices import Usage, calc_price

from mcp_servers.gateway.refusals import Refused
from policies.providers import NamedProvider, is_own_hardware

MICRO = 1_000_000
#: Answered by ourselves, for nothing.
_OURS = ("rehearsal", "lexical")


@dataclass(frozen=True)
class Link:
    """One model at one provider."""

    provider: str
    model: str

    @property
    def name(self) -> str:
        """As the gateway names it: `rehearsal`, `lexical`, else `<provider>/<model>`."""
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
        where = {"local": "ELF_MODEL_PRICE", "openai": "", "anthropic": ""}.get(
            link.provider, f"policies/models.yaml under providers.{link.provider}.prices"
        )
        fix = f", or write its price for a million tokens into {where}" if where else ""
        super().__init__(
            "price_unknown",
            f"The price of {link.name} is not known, so nothing is spent on it. Use a model with a list price{fix}.",
        )


@dataclass(frozen=True)
class _Basis:
    """Where a model's price comes from: a rate that people wrote, nothing at all, or the list (`where` finds the provider there)."""

    said: str
    rate: Rate | None = None
    where: Mapping[str, str] | None = None

    def cost(self, link: Link, tokens: Tokens) -> int:
        if self.where is not None:
            return _listed(link, tokens, **self.where)
        if self.rate is None:
            return 0
        return _micro((self.rate.input * tokens.input + self.rate.output * tokens.output) / 1_000_000)


#: The list's names of providers, where they are not LangChain's.
_LISTED_AS = {
    "azure_openai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "google_genai": "google",
    "google_vertexai": "google",
    "mistralai": "mistral",
    "xai": "x-ai",
}


class Prices:
    """Costs by provider. `base_url` and `base_url_rate` describe the server behind `local/`, `named` the law's own providers as now."""

    def __init__(
        self,
        base_url: str | None = None,
        base_url_rate: Rate | None = None,
        named: Callable[[], Mapping[str, NamedProvider]] = dict,
    ) -> None:
        self._base_url, self._rate, self._named = base_url, base_url_rate, named

    def cost(self, link: Link, tokens: Tokens) -> int:
        """Micro-dollars of a call that was made. Raises `PriceUnknown`."""
        return self._basis(link).cost(link, tokens)

    def upper_bound(self, link: Link, tokens_in: int, tokens_out: int) -> int:
        """The most a call with so many tokens can cost: all of its input plain, or all of it written to a cache."""
        plain = self.cost(link, Tokens(tokens_in, tokens_out))
        return max(plain, self.cost(link, Tokens(tokens_in, tokens_out, cache_write=tokens_in)))

    def basis(self, link: Link) -> str:
        """Where the price comes from, for people to read."""
        try:
            return self._basis(link).said
        except PriceUnknown:
            return "no longer known"

    def _basis(self, link: Link) -> _Basis:
        if link.provider in _OURS:
            return _Basis(f"{link.provider}: no model is paid")
        if link.provider == "local":
            return (
                _at_address(self._base_url or "")
                if self._rate is None
                else _Basis("price from the settings", self._rate)
            )
        if link.provider in ("openai", "anthropic"):
            return _Basis(_LIST, where={"provider_id": link.provider})
        named = self._named().get(link.provider)
        if named is None:
            # The law changed while the call was under way.
            raise PriceUnknown(link)
        if given := named.prices.get(link.model):
            return _Basis(
                "price from policies/models.yaml", Rate(Decimal(given.input) / MICRO, Decimal(given.output) / MICRO)
            )
        if named.url is not None:
            return _at_address(named.url)
        known = named.langchain or ""
        return _Basis(_LIST, where={"provider_id": _LISTED_AS.get(known, known)})


_LIST = "list price"


def _at_address(url: str) -> _Basis:
    return _Basis("own hardware: 0") if is_own_hardware(url) else _Basis(_LIST, where={"provider_api_url": url})


def _listed(link: Link, tokens: Tokens, **where: str) -> int:
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
