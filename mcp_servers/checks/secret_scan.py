"""Looks for secrets: by exact value for those the company holds, by shape for everybody's. What is found is never repeated, only named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from mcp_servers import secret_shapes
from mcp_servers.gateway.redaction import MARK, SHORTEST, forms, redact
from policies.facts import Finding

_MOST_URL_FORMS = 4


@dataclass(frozen=True)
class SecretScanner:
    """`known` gives the company's secrets by name, anew at each call: keys rotate. It may raise; then nothing was looked through."""

    known: Callable[[], Mapping[str, str]]

    def look(self, where: str, text: str) -> Iterator[Finding]:
        """Findings in one text. `where` is shown to people, so it is searched too, and hidden if it holds a secret itself."""
        place = self.hide(where)
        if place != where:
            yield Finding(check="own_secrets", where=place, what="its name holds a secret; change that secret")
        readings = _readings(text)
        for name, value in self._held():
            if any(_holds(reading, value) for reading in readings):
                yield Finding(
                    check="own_secrets", where=place, what=f"the company's {name} ({_hash(value)}); change that key"
                )
        for kind, value in secret_shapes.find(text):
            yield Finding(check="secrets", where=place, what=f"what looks like a {kind} ({_hash(value)})")

    def is_clean(self, text: str) -> bool:
        """Whether nothing at all would be found in the text, nor in any part of it."""
        return next(self.look("", text), None) is None

    def hide(self, text: str) -> str:
        """The text without any secret in it."""
        return secret_shapes.ANY.sub(MARK, redact(text, [value for _, value in self._held()]))

    def fingerprint(self) -> str:
        """Changes when the company's secrets do."""
        return _hash("\0".join(value for _, value in self._held()))

    def _held(self) -> list[tuple[str, str]]:
        return sorted((name, value) for name, value in self.known().items() if len(value) >= SHORTEST)


def text_of(data: bytes) -> str:
    """A file's bytes as the text to look through. Where there are zero bytes also without them: that reads UTF-16 and UTF-32."""
    text = data.decode("utf-8", "backslashreplace")
    if b"\0" not in data:
        return text
    return f"{text}\n{data.replace(bytes(1), b'').decode('utf-8', 'backslashreplace')}"


def _readings(text: str) -> list[str]:
    """The text as it is, without its line breaks and spaces, and without its URL forms, however often one was put upon another."""
    found = [text, "".join(text.split())]
    for _ in range(_MOST_URL_FORMS):
        plain = unquote(found[-1])
        if plain == found[-1]:
            break
        found.append(plain)
    return found


def _holds(text: str, value: str) -> bool:
    return any(form in text for form in forms(value)) or value.encode().hex() in text.lower()


def _hash(value: str) -> str:
    """Enough to tell two secrets apart, and nothing to find one by."""
    return hashlib.sha256(value.encode()).hexdigest()[:8]
