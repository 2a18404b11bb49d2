"""Takes secrets out of text before it leaves the company: every key of this home, every address of alerts, every known kind of token."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

HIDDEN = "[hidden]"
#: Shorter values are no keys, and hiding them would hide ordinary words.
SHORTEST = 12

#: Shapes of tokens and keys, whoever issued them. Repetitions are bounded: a text cannot be made that takes long to look through.
_SHAPES = re.compile(
    r"""
    -----BEGIN[ A-Z0-9]{0,40}PRIVATE\ KEY-----.*?(?:-----END[ A-Z0-9]{0,40}PRIVATE\ KEY-----|\Z)
  | \beyJ[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,8000}(?:\.[A-Za-z0-9_-]*)?   # a JSON web token
  | \b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}                              # OpenAI, Anthropic, and who copies them
  | \b(?:sk|pk|rk|whsec)_[A-Za-z0-9_]{16,}                         # Stripe
  | \bgh[opsur]_[A-Za-z0-9]{20,} | \bgithub_pat_[A-Za-z0-9_]{20,}
  | \bglpat-[A-Za-z0-9_-]{16,}
  | \bxox[a-z]-[A-Za-z0-9-]{10,} | \bxapp-[A-Za-z0-9-]{10,}
  | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
  | \bAIza[A-Za-z0-9_-]{30,}
  | \bhf_[A-Za-z0-9]{20,} | \bnpm_[A-Za-z0-9]{30,} | \bpypi-[A-Za-z0-9_-]{30,}
  | https://hooks\.slack\.com/\S+ | https://(?:ptb\.|canary\.)?discord(?:app)?\.com/api/webhooks/\S+
    """,
    re.VERBOSE | re.DOTALL,
)
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
        text = _SHAPES.sub(HIDDEN, text)
        text = _IN_ADDRESS.sub(rf"\1{HIDDEN}@", text)
        return _NAMED.sub(rf"\1{HIDDEN}", text)


def keys_in(folder: Path) -> list[str]:
    """Every key of a company's home, whole and line by line. Raises `OSError`: what cannot be read cannot be hidden."""
    texts = [path.read_text(errors="replace") for path in sorted(folder.rglob("*")) if path.is_file()]
    return [line for text in texts for line in (text.strip(), *(part.strip() for part in text.splitlines()))]
