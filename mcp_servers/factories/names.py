"""Names made safe (F08): any description becomes a name that a folder, a package, a cluster and a person can use."""

from __future__ import annotations

import hashlib
import keyword
import re
import unicodedata
from collections.abc import Set

from teams.spec import RESERVED_NAMES

MAX_LENGTH = 40
_WORDS = 3
_ENDING = "-team"

_FILLER = frozenset(
    re.findall(
        r"\w+",
        """a an and are as at be build by can could create do does for from get give have help hire i in into is it its
        like make me my need needs new now of on our own please should so some someone somebody something set start
        team teams that the their them they this those to up us want wants we what which who will with would you your
        """,
    )
)


def team_name(description: str, taken: Set[str] = frozenset()) -> str:
    """A name for a team so described, not among `taken`. The same description and names give the same answer."""
    words = _words(description)
    before_team = [words[i - 1] for i, word in enumerate(words) if word in ("team", "teams") and i]
    chosen = [word for word in before_team if word not in _FILLER][:1]
    chosen = chosen or [word for word in words if word not in _FILLER][:_WORDS]
    if not chosen:
        # Nothing that ASCII can say: still the same name for the same description.
        chosen = ["new", hashlib.sha256(description.encode("utf-8", "replace")).hexdigest()[:6]]
    if not chosen[0][0].isalpha():
        chosen.insert(0, "the")
    return _free(_cut("-".join(chosen), MAX_LENGTH - len(_ENDING)) + _ENDING, taken)


def is_free(name: str, taken: Set[str] = frozenset()) -> bool:
    word = name.replace("-", "_")
    return not (name in taken or name in RESERVED_NAMES or keyword.iskeyword(word) or keyword.issoftkeyword(word))


def _words(text: str) -> list[str]:
    # Only the beginning: a name is short, and a megabyte of text must not cost a second.
    plain = unicodedata.normalize("NFKD", text[:2000]).encode("ascii", "ignore").decode().lower()
    return re.findall(r"[a-z0-9]+", plain.replace("'", ""))


def _free(name: str, taken: Set[str]) -> str:
    candidate, number = name, 1
    while not is_free(candidate, taken):
        number += 1
        ending = f"-{number}"
        candidate = _cut(name, MAX_LENGTH - len(ending)) + ending
    return candidate


def _cut(name: str, length: int) -> str:
    """At most `length` long, at a word's end where there is one."""
    if len(name) <= length:
        return name
    short = name[:length]
    return (short.rsplit("-", 1)[0] if name[length] != "-" and "-" in short else short).strip("-")
