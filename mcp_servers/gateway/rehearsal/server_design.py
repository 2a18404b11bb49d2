"""A tool server for a wish: values for the parts a model may choose, from the wish's own words or a source that is known."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from mcp_servers.gateway.rehearsal.prompt import between
from mcp_servers.gateway.rehearsal.tool_wish import ToolWish, places
from mcp_servers.gateway.rehearsal.words import clip, stem, words

_TAKEN = re.compile(r"taken names: ([^\n]{1,4000})")
_FOUND = re.compile(r"^- (\S{1,60}) \(takes [^)\n]{0,400}\): ([^\n]{0,700})$", re.MULTILINE)
#: Descriptions that speak to the reader instead of saying what a tool does.
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|you must|always call|system prompt|secret|password|api key)\b", re.IGNORECASE
)


def design_server(wish: ToolWish, gist: str, task: str) -> dict[str, Any]:
    """The parts of an internal server's spec, with a rationale."""
    source = wish.source
    if source is not None:
        purpose, description, tool = source.purpose, source.description, source.tool
        why = f"{source.description} It is read when the tool is called and by nobody else."
    elif wish.text is not None:
        purpose = clip(f"Tells {_topic(wish)}", 200)
        description = clip(f"Gives one text, as it was asked for: {gist}.", 2000)
        tool = {
            "name": "tell",
            "description": clip(f"{_topic(wish).capitalize()}, as the company wants it to be told.", 2000),
            "inputs": [],
            "steps": [{"do": "static", "value": wish.text}],
        }
        why = "The text stands in the spec, so whoever approves it reads every word that will be told. No host is reached."
    else:
        url = wish.url or ""
        purpose = clip(f"Reads {_topic(wish)}", 200)
        description = clip(f"Reads the address that was asked for with the words: {gist}.", 2000)
        tool = {
            "name": "read",
            "description": clip(f"What {url.split('?')[0]} gives, as text.", 2000),
            "inputs": [
                {"name": name, "description": f"What stands for {name} in the address", "max_length": 200}
                for name in places(url)
            ],
            "steps": [{"do": "http_get", "url": url, "answer": "text"}],
        }
        why = "The address was named in the wish. What it gives is passed on as text."
    return {
        "name": _free(wish, task),
        "purpose": purpose,
        "description": description,
        "tools": [tool],
        "rationale": why,
    }


def wrap_server(wish: ToolWish, gist: str, task: str) -> dict[str, Any]:
    """The choice among the tools that were found: those that share a word with the wish, else all; none that gives orders."""
    found = [(name, said) for name, said in _FOUND.findall(between(task, "found") or "")]
    honest = [(name, said) for name, said in found if not _ORDERS.search(said)]
    wanted = {stem(word) for ability in wish.abilities for word in ability.split("-")} | {stem("search")}
    fitting = [
        name for name, said in honest if wanted & {stem(word) for word in words(f"{name.replace('_', ' ')} {said}")}
    ]
    chosen = fitting or [name for name, _ in honest]
    left = [name for name, _ in found if name not in chosen]
    return {
        "name": _free(wish, task),
        "purpose": clip(f"Reaches {_topic(wish)}", 200),
        "description": clip(f"Somebody's server, wrapped as it was asked for: {gist}.", 2000),
        "tools": chosen,
        "rationale": f"Chosen for what was asked: {', '.join(chosen) or 'nothing'}. Left out: {', '.join(left) or 'nothing'}.",
    }


def _topic(wish: ToolWish) -> str:
    return wish.abilities[0].replace("-", " ")


def _free(wish: ToolWish, task: str) -> str:
    """The name, with a number where it is taken; one that somebody asked for by name is kept, and may be refused."""
    taken = _taken(task)
    if wish.named or wish.name not in taken:
        return wish.name
    return next(name for number in range(2, len(taken) + 3) if (name := f"{wish.name[:36]}_{number}") not in taken)


def _taken(task: str) -> Collection[str]:
    found = _TAKEN.search(between(task, "servers") or "")
    return {name.strip() for name in found[1].split(",")} if found else frozenset[str]()
