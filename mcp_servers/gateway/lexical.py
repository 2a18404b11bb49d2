"""The keyless embedding: words and their parts, counted into a vector. Deterministic, offline, and no more than lexical.

It finds texts that share words or word stems, in any language; it knows nothing of meaning. That is why it is named `lexical`.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from mcp_servers.gateway.prices import Link, Tokens

LEXICAL = Link("lexical", "lexical")
DIMENSIONS = 384
_WORD = re.compile(r"\w+")
_PART = 4

#: What is embedded: texts, or texts that the client cut into tokens already.
Texts = list[str] | list[list[int]]


@dataclass(frozen=True)
class Embedded:
    """Vectors in the order of the texts; `tokens` is None if the provider did not credibly say."""

    vectors: list[list[float]]
    tokens: Tokens | None


class Embedder(Protocol):
    """Raises `ProviderFailed`."""

    async def embed(self, texts: Texts, dimensions: int | None) -> Embedded: ...


class LexicalEmbedder:
    """Unit vectors; texts without a common word or word part are orthogonal, but for collisions."""

    async def embed(self, texts: Texts, dimensions: int | None) -> Embedded:
        words = [[str(token) for token in text] if isinstance(text, list) else _words(text) for text in texts]
        size = dimensions or DIMENSIONS
        return Embedded([vector(one, size) for one in words], Tokens(sum(map(len, words)), 0))


def vector(words: list[str], size: int) -> list[float]:
    """The words' unit vector of `size` dimensions; zeros for no words."""
    values = [0.0] * size
    for feature, count in _features(words).items():
        digest = hashlib.blake2b(feature.encode(), digest_size=8).digest()
        # One bit decides the sign, so that what collides cancels out on average.
        sign = 1.0 if digest[7] & 1 else -1.0
        values[int.from_bytes(digest[:7], "big") % size] += sign * (1.0 + math.log(count))
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values] if length else values


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _features(words: list[str]) -> Counter[str]:
    found = Counter(words)
    for word in words:
        found.update(f"{word[start : start + _PART]}~" for start in range(len(word) - _PART + 1))
    return found
