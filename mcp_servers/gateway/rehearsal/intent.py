"""What kind of message it is: a capability or a tool wanted, work to do, a question, small talk, or nothing clear."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

from mcp_servers.gateway.rehearsal import lexicon
from mcp_servers.gateway.rehearsal.domain import Hits
from mcp_servers.gateway.rehearsal.tool_wish import wants_tool
from mcp_servers.gateway.rehearsal.words import stem

Kind = Literal["capability", "tool", "work", "question", "greeting", "yes", "no", "unclear"]
Words = tuple[str, ...]

#: `ask the marketing team to …`, or a team by its name.
ASKED_TEAM = re.compile(
    r"\b(?:ask|have|let|tell|get|want|give)\s+(?:the\s+|our\s+)?((?:[\w&-]+\s+){0,2}?[\w-]+)[ -]team\b|\b([a-z][a-z0-9-]*-team)\b"
)
_POLITE = frozenset("please could can would you hi hello hey kindly i need to us me want".split())  # noqa: SIM905 (a list of words)
_MAKING = re.compile(
    r"(?:(?:please|could|can|would|you|we|i|us|let's|lets|also|now)\s+)*"
    r"(?:create|build|make|set up|establish|form|hire|found|assemble|start|add|get|need|want|give)\b"
)
_GROUP = re.compile(r"\b(team|department|crew|squad|unit|division|group)\b")
_TROUBLE = re.compile(r"\b(nobody|no one|mess|overwhelmed|drowning|behind|too much|problem|help)\b")
_MAY_WE = re.compile(r"(can|could|would|will) (we|you|i)\b")
_SHORT = 6


def kind_of(text: str, found: Words, meant: frozenset[str], about: Words, best: Hits | None) -> Kind:
    """`found` are its words, `meant` their stems, `about` its content words, `best` the field it points to."""
    if not found:
        return "unclear"
    if (said := small_talk(found)) is not None:
        return said
    if wants_tool(text):
        return "tool"
    lowered = text.lower().strip()
    substance = [word for word in about if stem(word) not in lexicon.VAGUE]
    has_topic = best is not None or any(len(word) >= 4 for word in substance)
    if ASKED_TEAM.search(lowered) and _starts_with_asking(found):
        return "work" if substance else "unclear"
    asks = _is_question(lowered, found)
    if asks and (meant & lexicon.COMPANY or best) and not _MAY_WE.match(lowered):
        return "question"
    makes = bool(_GROUP.search(lowered[:400])) and bool(_MAKING.match(lowered))
    if _orders_work(found) and not makes:
        return "work" if substance or best else "unclear"
    if _wants_a_thing(found):
        return "work"
    wants = bool(meant & lexicon.WANTING) and bool(meant & lexicon.GROUP or best)
    if wants or makes or (best and meant & lexicon.GROUP):
        return "capability" if has_topic else "unclear"
    if asks:
        return "question"
    return "capability" if best and _TROUBLE.search(lowered) else "unclear"


def small_talk(found: Words) -> Kind | None:
    """A greeting, a yes or a no, if it is nothing more than that."""
    first, rest = found[0], found[1:]
    if len(found) <= _SHORT and first in lexicon.YES and all(word in lexicon.AFTER_YES for word in rest):
        return "yes"
    if len(found) <= _SHORT and first in lexicon.NO and all(word in lexicon.AFTER_NO for word in rest):
        return "no"
    if first in lexicon.GREETING_FIRST and len(found) <= 2 * _SHORT and all(word in lexicon.GREETING for word in rest):
        return "greeting"
    return None


def content_words(found: Words) -> Words:
    """What it is about: neither fillers, nor what somebody does (`that restores`), nor words for doing in general."""
    doing = {word for before, word in pairwise(found) if before in ("that", "who", "which") and word.endswith("s")}
    passing = lexicon.STOP | doing
    kept = (word for word in found if word not in passing and stem(word) not in lexicon.DOING and len(word) > 1)
    return tuple(dict.fromkeys(kept))


def _is_question(lowered: str, found: Words) -> bool:
    first = found[0].split("'")[0]
    if first in ("do", "does", "did", "have", "has", "is", "are"):
        return len(found) > 1 and found[1] in lexicon.SUBJECTS
    asking = lowered.endswith("?") and first in ("any", "tell", "show", "can", "could")
    return first in lexicon.QUESTION or asking


def _starts_with_asking(found: Words) -> bool:
    head = next((word for word in found[:6] if word not in _POLITE), "")
    return head in ("ask", "have", "let", "tell", "get", "the", "give")


def _orders_work(found: Words) -> bool:
    return stem(next((word for word in found[:8] if word not in _POLITE), "")) in lexicon.WORK


def _wants_a_thing(found: Words) -> bool:
    """`We need a slogan …`: a thing to hand over, and nobody to do it for ever."""
    head = found[:12]
    wanting = next((index for index, word in enumerate(head) if word in ("need", "want", "like")), None)
    if wanting is None or any(stem(word) in lexicon.GROUP for word in found):
        return False
    wanted = [word for word in head[wanting + 1 : wanting + 6] if word not in lexicon.STOP]
    return any(word in lexicon.THINGS for word in wanted[:3])
