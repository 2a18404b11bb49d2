"""Words and slugs. Everything here looks at a bounded piece of its input, so no message can be slow."""

from __future__ import annotations

import re
import unicodedata

#: How much of a text is read. A wish is a paragraph; what comes after it is not looked at.
READ_LIMIT = 6_000
_WORD_LIMIT, _WORD_LENGTH, _SLUG_LENGTH = 600, 40, 40

_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_WORD = re.compile(r"[^\W_]+(?:['&][^\W_]+)*")
_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"})
_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "đ": "d"})


def readable(text: str, limit: int = READ_LIMIT) -> str:
    """The beginning of the text, without invisible characters, on one line a paragraph."""
    head = unicodedata.normalize("NFKC", text[:limit]).translate(_QUOTES)
    lines = (" ".join(line.split()) for line in _INVISIBLE.sub("", head.replace("\t", " ")).split("\n"))
    return "\n".join(line for line in lines if line)


def plain(text: str) -> str:
    """Lower case ASCII where letters have a plain form: `Büro` becomes `buro`."""
    decomposed = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def words(text: str) -> tuple[str, ...]:
    """The words of a text, plain and lower case; over-long ones are left out."""
    found = _WORD.findall(plain(text[:READ_LIMIT]))
    return tuple(word for word in found if len(word) <= _WORD_LENGTH)[:_WORD_LIMIT]


_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ers", "ed", "er", "es", "s", "e", "y")


#: Whose stem is another word.
_WHOLE = frozenset({"marketing"})


def stem(word: str) -> str:
    """A crude English stem, the same for `writes`, `writer` and `writing`."""
    if word in _WHOLE:
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] else word


def slug(text: str, default: str = "team") -> str:
    """A name of lower-case letters, digits and hyphens that starts with a letter; at most 40 characters."""
    parts = [part for part in re.split(r"[^a-z0-9]+", plain(text[:200])) if part]
    while parts and not parts[0][0].isalpha():
        parts = parts[1:]
    short = ""
    for part in parts:
        longer = f"{short}-{part}" if short else part[:_SLUG_LENGTH]
        if len(longer) > _SLUG_LENGTH:
            break
        short = longer
    return short or default


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, cut at a word where there is one."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    return (head.rsplit(" ", 1)[0] if " " in head[limit // 2 :] else head) + "…"


def listed(items: tuple[str, ...] | list[str], last: str = "and") -> str:
    """`a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else ""
