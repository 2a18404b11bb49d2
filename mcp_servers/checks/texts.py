"""Whether a file is text that reads as it is: UTF-8, without anything that hides, reorders or pretends. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.facts import Finding

LARGEST = 1_000_000
"""Bytes of a file that is looked through; a larger one is a finding itself."""

#: Controls, soft hyphen, direction marks, separators of lines that are none, joiners of nothing, private use, tags.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ue000-\uf8ff\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
    # Joiners shape some scripts and emoji; beside a plain letter they do nothing but hide.
    "|(?<=[A-Za-z0-9_])[\u200c\u200d]|[\u200c\u200d](?=[A-Za-z0-9_])"
)
_CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
#: Python would read the file in this encoding, and not as it is shown.
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


def look(path: str, data: bytes, *, strict: bool) -> Iterator[Finding]:
    """Findings in one file. `strict` is for what a factory makes: always UTF-8 with plain line ends. Else binary files may be."""
    if len(data) > LARGEST:
        yield _found(path, f"it has {len(data)} bytes; {LARGEST} are looked through at most")
        return
    if data.startswith(b"\xef\xbb\xbf"):
        yield _found(path, "it begins with a byte order mark; remove it")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if strict:
            yield _found(path, f"it is not UTF-8 (byte {error.start}); save it as UTF-8")
        return
    if not strict and "\0" in text:
        return
    if path.endswith(".py"):
        yield from _declared(path, data)
    if strict and "\r" in text:
        yield _found(
            path,
            f"line {text.count(chr(10), 0, text.index(chr(13))) + 1}: a carriage return; lines end with a line feed",
        )
    if data.isascii() and not _CONTROL_BYTES.search(data):
        return
    for match in _HIDDEN.finditer(text.removeprefix("\ufeff")):
        line = text.count("\n", 0, match.start()) + 1
        yield _found(path, f"line {line}: the invisible character U+{ord(match.group()):04X}; remove it")
        return


def look_at_words(where: str, text: str) -> Iterator[Finding]:
    """Findings in a title, a body or a message."""
    if match := _HIDDEN.search(text):
        yield _found(where, f"the invisible character U+{ord(match.group()):04X}; remove it")


def _declared(path: str, data: bytes) -> Iterator[Finding]:
    for line in data.split(b"\n", 2)[:2]:
        if (cookie := _COOKIE.match(line)) and cookie.group(1).lower().replace(b"_", b"-") != b"utf-8":
            yield _found(path, "it declares an encoding of its own; Python files are UTF-8")


def _found(where: str, what: str) -> Finding:
    return Finding(check="text", where=where, what=what)
