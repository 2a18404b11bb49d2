"""Several wishes in one message: `a legal team and a tool that converts currencies` are two, each asked for by itself."""

from __future__ import annotations

import re
from itertools import pairwise

from mcp_servers.gateway.rehearsal.understanding import understand
from mcp_servers.gateway.rehearsal.words import READ_LIMIT, readable

#: So many wishes of one message are served.
MOST = 5
_THING = r"(?:team|department|crew|squad|unit|division|tool server|mcp server|tool|connector|integration|api)"
_A = r"(?:an?|another|one|some)"
_OWN = r"(?:(?!(?:and|or|that|which|who|an?|the|with|for|of|to)\b)[\w'&-]+\s+){0,3}?"
#: What may follow the thing without making it a part of another word's (`a team calendar`).
_ENDS = (
    r"(?=\s*(?:$|[,.;:!?\n)]|(?:that|which|who|to|for|and|plus|as|with|named|called|please|too|also|in|of|by|from|at|on"
    r"|reads|does|doing|handling|wrapping|we|i)\b))"
)
_HEAD = re.compile(rf"\b{_A}\s+{_OWN}{_THING}\b{_ENDS}", re.IGNORECASE)
_WANT = r"(?:need|want|would\s+like|require|lack|create|build|make|add|set\s+up|get|give\s+us|propose)"
#: What stands right before a wish that is one of its own, and not a part of the one before.
_BREAK = re.compile(
    rf"(?:,|;|[.!?\n]|\band\b|\bplus\b|\bas\s+well\s+as\b|\balso\b|&)[\s*•)\d.-]*(?:(?:and|also|then|plus|please)\s+)*"
    rf"(?:(?:(?:we|i)\s+)?(?:also\s+)?{_WANT}\s+(?:also\s+)?)?$",
    re.IGNORECASE,
)
#: A break that begins a sentence of its own.
_FRESH = re.compile(r"^[.!?;\n]|\b(?:we|i)\b", re.IGNORECASE)
#: `a team with a manager and a tool`: the tool is the team's.
_HAS = re.compile(r"\b(?:with|has|having|gets?|uses?)\s+(?:an?|the|its|their)\b[^.;\n]*$", re.IGNORECASE)
#: `a marketing and a sales team`, and `legal and support teams`, where they are wished for.
_SHARED = re.compile(
    r"\b(an?|another)\s+((?:(?!team|department|tool)[\w&-]+\s+){1,2})and\s+(an?|another)\s+((?:(?!team|department|tool)[\w&-]+\s+){1,2})(team|department|tool)\b",
    re.IGNORECASE,
)
_PLURAL = re.compile(
    rf"\b({_WANT})\s+(?:new\s+|two\s+|three\s+|the\s+following\s+)?((?:[\w&-]+(?:,\s*|\s+and\s+|,\s*and\s+)){{1,4}}[\w&-]+)\s+(team|department)s\b",
    re.IGNORECASE,
)


def wishes_in(text: str) -> tuple[str, ...]:
    """The message's wishes, each in words that stand alone; the message itself where it has one, or none. Never raises."""
    whole = text.strip()
    clean = _SHARED.sub(_apart, _PLURAL.sub(_each, readable(whole[:READ_LIMIT])))
    breaks = _breaks(clean)
    ends = [*(end for end, _ in breaks), len(clean)]
    starts = [0, *(start for _, start in breaks)]
    parts = [clean[start:end].strip(" \n,;:-*•") for start, end in zip(starts, ends, strict=True)]
    parts = [part if start == 0 else f"We need {part}" for part, start in zip(parts, starts, strict=True)]
    return tuple(parts) if len(parts) > 1 and all(map(_says_something, parts)) else (whole,)


def _breaks(text: str) -> list[tuple[int, int]]:
    """(end of a wish, beginning of the next) for each thing wished for that follows another as its equal."""
    heads = list(_HEAD.finditer(text))
    found, inside = list[tuple[int, int]](), False
    for before, head in pairwise(heads):
        between = text[before.end() : head.start()]
        broken = _BREAK.search(between)
        fresh = broken is not None and _FRESH.search(broken[0]) is not None
        # `that works with a sales team and a support team`: what follows a part is a part, too.
        inside = broken is None or (not fresh and (inside or _HAS.search(between) is not None))
        if broken is not None and not inside:
            found.append((before.end() + broken.start(), head.start()))
    return found


def _apart(found: re.Match[str]) -> str:
    return f"{found[1]} {found[2]}{found[5]} and {found[3]} {found[4]}{found[5]}"


def _each(found: re.Match[str]) -> str:
    names = re.split(r",\s*and\s+|,\s*|\s+and\s+", found[2])
    return f"{found[1]} " + " and ".join(f"a {name} {found[3]}" for name in names)


def _says_something(part: str) -> bool:
    """Whether it is a wish of its own for a capability or a tool, with words that say which."""
    wish = understand(part)
    return wish.kind in ("capability", "tool") and bool(set(wish.about) - _THINGS)


_THINGS = frozenset("tool tools server mcp api connector integration".split())  # noqa: SIM905 (a list of words)
