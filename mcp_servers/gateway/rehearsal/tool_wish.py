"""A lexical reading of a wish for a tool: somebody's MCP server, a program, a public address, a known source, or a text to give."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from mcp_servers.gateway.rehearsal import lexicon
from mcp_servers.gateway.rehearsal.sources import SOURCES, Source
from mcp_servers.gateway.rehearsal.words import clip, readable, slug, stem, words

Way = Literal["server", "program", "address", "source", "text", "unknown"]

_TOOL = r"(?:tool server|mcp server|tools?|connector|connection|integration|api)"
_WANTED = re.compile(
    rf"\b(?:a|an|another|new|some|the|our)\s+(?:[\w'-]+\s+){{0,3}}?{_TOOL}\b(?!\s*[\"':]\s*[\"'])", re.IGNORECASE
)
_MAKING = re.compile(
    r"\b(?:need|want|would like|lack|create|build|make|add|set up|give|get|wrap|connect|let|have)\b", re.IGNORECASE
)
_ABLE = re.compile(
    r"\b(?:be able to|access to|search|look up|look things up|use|read|query|connect(?: to)?|wrap|reach)\b",
    re.IGNORECASE,
)
_GROUP = re.compile(
    r"\b(?:a|an|another|new)\s+(?:[\w'&-]+\s+){0,3}?(?:team|department|crew|squad|unit|division)\b", re.IGNORECASE
)
_URL = re.compile(r"https?://[^\s<>\"'`]{1,480}")
_IS_SERVER = re.compile(r"\bmcp\b|tool server at", re.IGNORECASE)
_PROGRAM = re.compile(
    r"\b(?:program|command|stdio server)\s+(?:named\s+|called\s+)?[\"'`]?([A-Za-z0-9][A-Za-z0-9._-]{0,79})",
    re.IGNORECASE,
)
_NOT_PROGRAMS = frozenset({"that", "which", "to", "for", "and", "from", "of", "with", "in", "line", "is"})
_NAMED = re.compile(r"""\b(?:named|called|name it|call it)\s+["'`]?([A-Za-z0-9][\w-]{0,60})""", re.IGNORECASE)
_GIVES = re.compile(
    r"\b(?:tells?|says?|gives?|answers?|knows?|with|states?|returns?|shows?)\b([^:\n]{0,120}):\s+(?!//)(\S[^\n]{2,1500})",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\{([a-z][a-z0-9_]{0,30})\}")
#: What a server made of steps cannot do.
_BEYOND = re.compile(
    r"\b(?:sends?|posts?|writes?|books?|orders?|pays?|deletes?|uploads?|publish(?:es)?|calculates?|computes?|runs?|executes?|deploys?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ToolWish:
    """What was understood. `about` are the content words; `question` is what to ask back where nothing can be made of it."""

    way: Way
    name: str
    abilities: tuple[str, ...]
    url: str | None = None
    program: str | None = None
    source: Source | None = None
    text: str | None = None
    question: str | None = None
    named: bool = False


def wants_tool(text: str) -> bool:
    """Whether a tool is wished for, and not a team that has some, or a piece of work."""
    head = text[:1500]
    tool, group = _WANTED.search(head), _GROUP.search(head)
    if group and (tool is None or group.start() <= tool.start()):
        return False
    if tool and _MAKING.search(head[: tool.end()]):
        return True
    url = _URL.search(head)
    return bool(
        url
        and (_ABLE.search(head[: url.start()]) or _MAKING.search(head[: url.start()]))
        and (tool or _is_server(head, url[0]))
    )


def read_tool_wish(text: str) -> ToolWish:
    """Bounded work whatever the text; never raises."""
    clean = readable(text)
    found_url = _URL.search(clean)
    url = found_url[0].rstrip(".,;:!?)") if found_url else None
    about = _about(_URL.sub(" ", clean)) or (_about(_host_words(url)) if url else ())
    named = _NAMED.search(clean)
    name = _word(named[1]) if named else _word(" ".join(about[:2]) or "lookup")
    abilities = (slug(" ".join(about[:3]), "lookup"),)
    is_named = named is not None
    if url and _is_server(clean, url):
        return ToolWish("server", name, abilities, url=url, named=is_named)
    program = _PROGRAM.search(clean)
    if program and program[1].lower() not in _NOT_PROGRAMS:
        own = _word(program[1]) if not named else name
        return ToolWish("program", own, (slug(program[1], "program"),), program=program[1].rstrip("."), named=is_named)
    if url:
        return ToolWish("address", name, abilities, url=url, named=is_named)
    given = _GIVES.search(clean)
    if given:
        subject = _about(given[1]) or about
        own = name if named else _word(" ".join(subject[:2]) or "answers")
        return ToolWish("text", own, (slug(" ".join(subject[:3]), "answers"),), text=given[2].strip(), named=is_named)
    stems_ = {stem(word) for word in words(clean)}
    source = next((one for one in SOURCES if one.words & stems_), None)
    if source and not _BEYOND.search(_without(clean, source)):
        own = name if named else source.name
        return ToolWish("source", own, (source.ability,), source=source, named=is_named)
    return ToolWish("unknown", name, abilities, question=_question(clean, about), named=is_named)


def _host_words(url: str) -> str:
    """What an address says of itself: the words of its host but for the last and the usual first ones."""
    labels = (urlsplit(url).hostname or "").split(".")[:-1]
    return " ".join(label for label in labels if label not in ("www", "api")) or "address"


def _is_server(text: str, url: str) -> bool:
    path = url.split("?")[0].rstrip("/.,;:!?)")
    return path.endswith(("/mcp", "/sse")) or bool(_IS_SERVER.search(text.replace(url, " ")))


def _about(text: str) -> tuple[str, ...]:
    """What it is about: no fillers, no words for tools and wanting."""
    filler = {
        "tool",
        "tools",
        "server",
        "mcp",
        "api",
        "connector",
        "connection",
        "integration",
        "able",
        "access",
        "wrap",
        "connect",
    }
    filler |= {
        "search",
        "look",
        "use",
        "read",
        "query",
        "tell",
        "tells",
        "say",
        "says",
        "give",
        "gives",
        "things",
        "at",
    }
    filler |= {
        "reads",
        "fetch",
        "fetches",
        "get",
        "gets",
        "searches",
        "shows",
        "show",
        "returns",
        "address",
        "page",
        "called",
        "named",
        "knows",
        "know",
    }
    kept = (
        word
        for word in words(text)
        if word not in lexicon.STOP and word not in filler and stem(word) not in lexicon.VAGUE and word.isascii()
    )
    return tuple(dict.fromkeys(kept))[:6]


def _without(text: str, source: Source) -> str:
    """The text without the words by which the source was recognised (a book is no booking)."""
    return " ".join(word for word in text.split() if stem(word.strip(".,!?").lower()) not in source.words)


def _question(text: str, about: tuple[str, ...]) -> str:
    topic = f" for {' '.join(about[:4])}" if about else ""
    if about and _BEYOND.search(text):
        return (
            f"A tool of our own can read public addresses and give texts; it cannot send, write or calculate. At which address is an "
            f"MCP server that does this{topic}?"
        )
    return (
        f"Where does the tool{topic} get what it gives? Name an https:// address to read, the address of an MCP server, or the text "
        "that it shall give."
    )


def _word(text: str) -> str:
    """A name of lower-case words with underscores."""
    return slug(clip(text, 60), "lookup").replace("-", "_")


def places(url: str) -> tuple[str, ...]:
    """The names in braces in an address's path or query: what the caller gives."""
    return tuple(dict.fromkeys(_PLACE.findall(url)))
