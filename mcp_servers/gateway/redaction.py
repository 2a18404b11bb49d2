"""Keeps the secrets that the gateway injects out of what comes back: the exact values, raw, in base64, hex or URL form. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote, quote_plus

MARK = "[redacted]"
#: A shorter secret cannot be told from ordinary text, and is not injected.
SHORTEST = 8


def redact(value: Any, secrets: Collection[str]) -> Any:
    """The value (JSON), with every appearance of a secret in any text of it, keys included, replaced."""
    if not secrets:
        return value
    known = tuple(sorted(secrets))
    return _walk(value, (_pattern(known), _percents(known)))


def _walk(value: Any, pattern: tuple[re.Pattern[str], re.Pattern[str]]) -> Any:
    if isinstance(value, str):
        plain = pattern[0].sub(MARK, value)
        return pattern[1].sub(MARK, plain) if "%" in plain else plain
    if isinstance(value, list):
        return [_walk(item, pattern) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {_walk(key, pattern): _walk(item, pattern) for key, item in pairs}
    return value


@lru_cache(maxsize=64)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    texts = {form for secret in secrets for form in forms(secret)}
    # Longest first, so that a form that contains another one goes whole.
    plain = "|".join(re.escape(form) for form in sorted(texts, key=lambda form: (-len(form), form)))
    digits = "|".join(f"(?i:{secret.encode().hex()})" for secret in secrets)
    return re.compile(f"{plain}|{digits}")


@lru_cache(maxsize=64)
def _percents(secrets: tuple[str, ...]) -> re.Pattern[str]:
    """The secrets with any of their letters in URL form, also in that of that: `%41`, `%2541`. Only of use where there is a `%`."""
    return re.compile("|".join("".join(_letter(letter) for letter in secret) for secret in secrets))


def _letter(letter: str) -> str:
    quoted = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in letter.encode())
    return f"(?:{re.escape(letter)}|{quoted})"


@lru_cache(maxsize=256)
def forms(secret: str) -> frozenset[str]:
    """How the secret may stand in a text: raw, backwards, in URL form, in base64 at any place. Hex is not among them."""
    raw = secret.encode()
    found = {secret, quote(secret, safe=""), quote_plus(secret, safe=""), secret[::-1]}
    found |= {form.lower() for form in (quote(secret, safe=""), quote_plus(secret, safe="")) if "%" in form}
    # In base64 a text looks different at each of three places; the outer letters depend on the neighbours.
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        first = (0, 2, 3)[offset]
        last = len(encoded) - (1 if (len(raw) + offset) % 3 else 0)
        core = encoded[first:last]
        if len(core) >= SHORTEST:
            found |= {core, core.translate(str.maketrans("+/", "-_"))}
    return frozenset(found)
