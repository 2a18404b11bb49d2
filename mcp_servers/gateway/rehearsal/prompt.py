"""What a request to the model holds: the task, the conversation before it, the tools on offer and what they returned."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mcp_servers.gateway.rehearsal.words import READ_LIMIT


@dataclass(frozen=True)
class Tool:
    """A tool on offer. `schema` is the JSON schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """What a tool returned. `tool` is the plain name, `value` the JSON in it, or the text where it is none."""

    tool: str
    arguments: Mapping[str, Any]
    text: str
    value: Any


@dataclass(frozen=True)
class Prompt:
    """One request. `asked` is what the person or the calling team wrote, `task` the whole last instruction."""

    purpose: str
    system: str
    task: str
    asked: str
    history: tuple[tuple[str, str], ...]
    tools: Mapping[str, Tool]
    results: tuple[Result, ...]
    schema: Mapping[str, Any] | None

    def result(self, *tools: str) -> Result | None:
        """The latest result of one of these tools, by plain name."""
        return next((found for found in reversed(self.results) if found.tool in tools), None)


def read(request: Mapping[str, Any]) -> Prompt:
    """Reads an OpenAI chat request with its `purpose`. Anything missing or odd reads as empty."""
    messages = [message for message in _items(request.get("messages")) if isinstance(message, Mapping)]
    spoken = [index for index, message in enumerate(messages) if message.get("role") == "user"]
    # CrewAI asks on in a further user message after tool results; the task is then in the first one.
    last = next(
        (index for index in reversed(spoken) if "<request>" in _text(messages[index])), spoken[-1] if spoken else -1
    )
    task = _text(messages[last]) if last >= 0 else ""
    tools = {tool_key(tool.name): tool for tool in _tools(request.get("tools"))}
    asked = between(task, "request")
    return Prompt(
        purpose=str(request.get("purpose") or ""),
        system="\n".join(_text(message) for message in messages if message.get("role") in ("system", "developer")),
        task=task,
        asked=(_bare(task) if asked is None else asked).strip(),
        history=tuple(_history(task)) or tuple(_earlier(messages[:last] if last > 0 else [])),
        tools={} if request.get("tool_choice") == "none" else tools,
        results=tuple(_results(messages[last + 1 :])),
        schema=_schema(request.get("response_format")),
    )


def tool_key(name: str) -> str:
    """Frameworks spell tool names differently (`registry__query_teams`, `registry_query_teams`): the plain form."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()[:100]).strip("_")


def between(text: str, tag: str) -> str | None:
    """What stands between the first opening and the last closing tag; to the end where it is not closed."""
    start = text.find(f"<{tag}>")
    if start < 0:
        return None
    end = text.rfind(f"</{tag}>")
    inner = start + len(tag) + 2
    return text[inner : end if end >= inner else len(text)]


def context(task: str) -> str:
    """What colleagues handed in, as CrewAI and our own graphs append it to a task."""
    _, marker, after = task.partition("This is the context you're working with:\n")
    return after.split("\n\nProvide your complete response:", 1)[0].strip() if marker else ""


def _bare(task: str) -> str:
    """The task without what CrewAI wraps around it."""
    task = task.removeprefix("\n").removeprefix("Current Task:")
    for frame in ("\n\nThis is the expected criteria for your final answer:", "\n\nProvide your complete response:"):
        task = task.split(frame, 1)[0]
    return task


def _history(task: str) -> Iterator[tuple[str, str]]:
    """Turns written as `speaker: text` lines; a line without a speaker continues the turn before it."""
    start = task.find("<request>")
    outside = task if start < 0 else task[:start] + task[max(start, task.rfind("</request>")) :]
    speaker, lines, seen = "", list[str](), {"executive", "ceo", "assistant", "person", "user"}
    for line in (between(outside, "history") or "")[-READ_LIMIT:].strip().splitlines():
        head = re.match(r"\s*[-*]?\s*(?:\[[^\]]{0,40}\]\s*)?([\w:/@.-]{1,80})\s*: (.*)", line)
        # A colon inside somebody's words does not make a new turn.
        if head and (not speaker or head[1] in seen or head[1].startswith("person:") or "/" in head[1]):
            seen.add(head[1])
            if speaker:
                yield speaker, "\n".join(lines)
            speaker, lines = head[1], [head[2]]
        elif speaker:
            lines.append(line)
    if speaker:
        yield speaker, "\n".join(lines)


def _earlier(messages: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for message in messages[-20:]:
        text, role = _text(message)[:READ_LIMIT], message.get("role")
        if text and role in ("user", "assistant"):
            yield ("person" if role == "user" else "assistant"), text


def _tools(raw: object) -> Iterator[Tool]:
    for item in _items(raw):
        function = item.get("function") if isinstance(item, Mapping) else None
        if isinstance(function, Mapping) and isinstance(function.get("name"), str):
            schema = function.get("parameters")
            yield Tool(
                function["name"],
                str(function.get("description") or ""),
                schema if isinstance(schema, Mapping) else {},
            )


def _results(messages: list[Mapping[str, Any]]) -> Iterator[Result]:
    calls = dict[str, tuple[str, Mapping[str, Any]]]()
    for message in messages:
        for call in _items(message.get("tool_calls")):
            function = call.get("function", {}) if isinstance(call, Mapping) else {}
            arguments = parsed(str(function.get("arguments") or "{}"))
            calls[str(call.get("id"))] = (
                str(function.get("name") or ""),
                arguments if isinstance(arguments, Mapping) else {},
            )
        if message.get("role") == "tool":
            name, arguments = calls.get(str(message.get("tool_call_id")), (str(message.get("name") or ""), {}))
            text = _text(message)
            yield Result(tool_key(name), arguments, text, parsed(text))


def parsed(text: str) -> Any:
    """The JSON value that the text is, or the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _schema(raw: object) -> Mapping[str, Any] | None:
    if not isinstance(raw, Mapping):
        return None
    if raw.get("type") == "json_schema" and isinstance(holder := raw.get("json_schema"), Mapping):
        schema = holder.get("schema")
        return schema if isinstance(schema, Mapping) else {}
    return {"type": "object"} if raw.get("type") == "json_object" else None


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = (part.get("text") for part in _items(content) if isinstance(part, Mapping))
    return "\n".join(part for part in parts if isinstance(part, str))


def _items(raw: object) -> list[Any]:
    return list(raw) if isinstance(raw, list | tuple) else []
