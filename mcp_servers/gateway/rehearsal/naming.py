"""What a new team is called: as it was asked for, else after its field or the wish's own words."""

from __future__ import annotations

import re

from mcp_servers.gateway.rehearsal import lexicon
from mcp_servers.gateway.rehearsal.domain import Hits
from mcp_servers.gateway.rehearsal.words import slug, stem, words
from teams.spec import RESERVED_NAMES

NAMED = re.compile(r"""\b(?:named|called|name it|call it)\s+["'`]?([^\s"'`,;]{1,80})""", re.IGNORECASE)
_TEAM_FOR = re.compile(
    r"\b(?:a|an|the|our|new|another)\s+((?:[\w&-]+\s+){1,3}?)(?:team|department|crew|squad|unit|group)\b"
)
_SIZE_WORDS = frozenset({"small", "big", "whole", "dedicated", "little", "real", "langgraph", "crewai"})


def team_name(text: str, best: Hits | None, about: tuple[str, ...]) -> str:
    """A safe name that ends in `team`."""
    if named := NAMED.search(text):
        wanted = slug(named[1], "")
        if wanted and wanted not in RESERVED_NAMES:
            return as_team(wanted)
    useful = said_before_team(text)
    if any(word[0].isalpha() for word in useful):
        return as_team(slug(" ".join(useful[-2:])))
    if best:
        return as_team(best.domain.name)
    own = [word for word in about if stem(word) not in lexicon.VAGUE and len(word) > 2]
    return as_team(slug(" ".join(own[:2]), "general"))


def said_before_team(text: str) -> tuple[str, ...]:
    """The words that say which team: `podcast production` in `a podcast production team`."""
    phrase = _TEAM_FOR.search(lexicon.FIXED_PROCESS.sub(" ", text.lower()))
    return tuple(lexicon.mended(word) for word in words(phrase[1]) if _names(word)) if phrase else ()


def as_team(base: str) -> str:
    return base if base.endswith("team") else f"{base[:34].strip('-')}-team"


def _names(word: str) -> bool:
    """Whether the word says which team it is."""
    filler = word in lexicon.STOP or word in _SIZE_WORDS or stem(word) in lexicon.VAGUE
    return not filler and not word.isdigit()
