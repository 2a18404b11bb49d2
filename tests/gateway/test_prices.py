"""What a call costs is known before it is made, or it is not made."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mcp_servers.gateway.prices import Link, Prices, PriceUnknown, Rate, Tokens
from policies.providers import is_own_hardware

SONNET = Link("anthropic", "claude-sonnet-4-5")


@pytest.mark.rows("F44")
def test_list_prices_are_whole_micro_dollars_rounded_up() -> None:
    assert Prices().cost(SONNET, Tokens(1_000, 1_000)) == 18_000
    assert Prices().cost(Link("openai", "gpt-5-mini"), Tokens(1, 0)) == 1
    assert Prices().cost(SONNET, Tokens(1_000, 0, cache_read=1_000)) < 3_000


@pytest.mark.rows("F45")
def test_the_upper_bound_covers_a_call_that_writes_all_its_input_to_a_cache() -> None:
    bound = Prices().upper_bound(SONNET, 1_000, 10)
    assert (
        bound >= Prices().cost(SONNET, Tokens(1_000, 10, cache_write=1_000)) > Prices().cost(SONNET, Tokens(1_000, 10))
    )


@pytest.mark.rows("L4")
@pytest.mark.parametrize("link", [Link("openai", "gpt-nobody-knows"), Link("anthropic", "gpt-5-mini")])
def test_an_unknown_price_is_a_no(link: Link) -> None:
    with pytest.raises(PriceUnknown, match="is not known, so nothing is spent"):
        Prices().upper_bound(link, 10, 10)


def test_rehearsal_and_own_hardware_cost_nothing_and_say_so() -> None:
    prices = Prices("http://192.168.1.9:11434/v1")
    assert prices.upper_bound(Link("rehearsal", "rehearsal"), 10**6, 10**6) == 0
    assert prices.upper_bound(Link("local", "llama"), 10**6, 10**6) == 0
    assert prices.basis(Link("local", "llama")) == "own hardware: 0"


def test_a_server_elsewhere_needs_a_price_that_is_listed_or_given() -> None:
    with pytest.raises(PriceUnknown):
        Prices("https://models.example.com/v1").cost(Link("local", "llama"), Tokens(1, 1))
    given = Prices("https://models.example.com/v1", Rate(Decimal("0.5"), Decimal("2")))
    assert given.cost(Link("local", "llama"), Tokens(1_000_000, 500_000)) == 1_500_000
    assert (
        Prices("https://openrouter.ai/api/v1").cost(Link("local", "openai/gpt-4o"), Tokens(1_000_000, 0)) == 2_500_000
    )


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://10.1.2.3/v1", True),
        ("https://8.8.8.8/v1", False),
        ("http://0.0.0.0/v1", False),
        ("http://169.254.169.254/v1", False),
        ("https://localhost.example.com/v1", False),
        ("https://127.0.0.1.example.com/v1", False),
        ("https://127.0.0.1@example.com/v1", False),
        ("nonsense", False),
    ],
)
def test_only_loopback_and_private_addresses_are_own_hardware(url: str, own: bool) -> None:
    assert is_own_hardware(url) is own
