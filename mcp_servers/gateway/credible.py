"""Whether the counts a provider reports for a call can be true, given what was asked and what was answered. Pure.

A count is paid for as it stands, so a false one is money: too high, and one call shuts the company; too low, and a budget is spent
many times over. What cannot be true is not paid as said but at what was held for the call, and stands in the ledger with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from mcp_servers.gateway.prices import Tokens

#: No tokenizer in use needs fewer tokens than one for so many characters of text: words take one for 3 to 15.
CHARACTERS_A_TOKEN = 32


@dataclass(frozen=True)
class Bounds:
    """What a call can have taken: `at_most` as it was held, `at_least` for the text that went there."""

    most_in: int
    most_out: int
    least_in: int = 1


def fault(tokens: Tokens, bounds: Bounds, said_characters: int) -> str | None:
    """Why the counts cannot be true; None: they can. `said_characters`: how long the answer is."""
    least_out = -(-said_characters // CHARACTERS_A_TOKEN)
    if tokens.input > bounds.most_in:
        return f"it counts {tokens.input} tokens in, where the request has {bounds.most_in} at the most"
    if tokens.output > bounds.most_out:
        return f"it counts {tokens.output} tokens out, where {bounds.most_out} were allowed"
    if tokens.input < bounds.least_in:
        return f"it counts {tokens.input} tokens in, where the request has {bounds.least_in} at the least"
    if tokens.output < least_out:
        return f"it counts {tokens.output} tokens out, where the answer has {least_out} at the least"
    return None


def least_tokens(characters: int) -> int:
    """No more tokens than any provider will count for so much text."""
    return max(1, characters // CHARACTERS_A_TOKEN)


def characters(said: Mapping[str, Any]) -> int:
    """How much a message, or a part of one, says: its text, its refusal, the arguments of its calls."""
    found = len(said.get("content") or "") + len(said.get("refusal") or "")
    for call in cast("list[dict[str, Any]]", said.get("tool_calls") or ()):
        function: Mapping[str, Any] = call.get("function") or {}
        found += len(function.get("arguments") or "") + len(function.get("name") or "")
    return found
