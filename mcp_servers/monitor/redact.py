"""Takes secrets out of text before it leaves the company: those it holds by value, all others by their shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from mcp_servers.gateway.redaction import MARK, SHORTEST, redact
from mcp_servers.secret_shapes import ANY

#: `Authorization: Bearer …`, `password=…`, `"api_key": "…"`: the value after the word.
_NAMED = re.compile(
    r"(?i)((?:\b(?:bearer|basic)\s{1,5}|(?:password|passwd|secret|token|api[_-]?key|access[_-]?key)[\"']?\s{0,5}[=:]\s{0,5}[\"']?))"
    r"([^\s\"',;&]{8,})"
)
#: The user and password of an address.
_IN_ADDRESS = re.compile(r"([A-Za-z0-9+.-]{1,20}://)[^\s/@]{1,500}@")


class Redactor:
    """Hides what `secrets` gives (asked anew each time: keys rotate), whole and line by line, and what looks like a token."""

    def __init__(self, secrets: Callable[[], Iterable[str]]) -> None:
        self._secrets = secrets

    def __call__(self, text: str) -> str:
        held = {part.strip() for secret in self._secrets() for part in (secret, *secret.splitlines())}
        text = redact(text, [part for part in held if len(part) >= SHORTEST])
        text = ANY.sub(MARK, text)
        text = _IN_ADDRESS.sub(rf"\1{MARK}@", text)
        return _NAMED.sub(rf"\1{MARK}", text)
