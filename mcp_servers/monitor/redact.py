"""Takes secrets out of text before it leaves the company: every key of this home, every address of alerts, every known kind of token."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

from mcp_servers.secret_shapes import ANY

HIDDEN = "[hidden]"
#: Shorter values are no keys, and hiding them would hide ordinary words.
SHORTEST = 12

#: `Authorization: Bearer …`, `password=…`, `"api_key": "…"`: the value after the word.
_NAMED = re.compile(
    r"(?i)((?:\b(?:bearer|basic)\s{1,5}|(?:password|passwd|secret|token|api[_-]?key|access[_-]?key)[\"']?\s{0,5}[=:]\s{0,5}[\"']?))"
    r"([^\s\"',;&]{8,})"
)
#: The user and password of an address.
_IN_ADDRESS = re.compile(r"([A-Za-z0-9+.-]{1,20}://)[^\s/@]{1,500}@")


class Redactor:
    """Hides what `secrets` gives (asked anew each time: keys rotate) and what looks like a token, in any text."""

    def __init__(self, secrets: Callable[[], Iterable[str]]) -> None:
        self._secrets = secrets

    def __call__(self, text: str) -> str:
        for secret in sorted({one.strip() for one in self._secrets()}, key=len, reverse=True):
            if len(secret) >= SHORTEST:
                text = text.replace(secret, HIDDEN).replace(quote(secret, safe=""), HIDDEN)
        text = ANY.sub(HIDDEN, text)
        text = _IN_ADDRESS.sub(rf"\1{HIDDEN}@", text)
        return _NAMED.sub(rf"\1{HIDDEN}", text)


def keys_in(folder: Path) -> list[str]:
    """Every key of a company's home, whole and line by line. Raises `OSError`: what cannot be read cannot be hidden."""
    texts = [path.read_text(errors="replace") for path in sorted(folder.rglob("*")) if path.is_file()]
    return [line for text in texts for line in (text.strip(), *(part.strip() for part in text.splitlines()))]
