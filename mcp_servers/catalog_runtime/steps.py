"""The steps of an internal server's tool, one function each. Pure but for `http_get`, whose fetching is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast
from urllib.parse import quote

from pydantic_core import from_json, to_json

from mcp_servers.server_spec import PLACEHOLDER, HttpGet, Input, Static, Template, ToolSpec, Transform

MAX_TEXT = 100_000
#: Fetches (address, query) and gives the body; raises `StepFailed`.
Fetch = Callable[[str, Mapping[str, str]], Awaitable[bytes]]


class StepFailed(Exception):
    """The tool cannot give a result; the text says why, for whoever called."""


async def run(tool: ToolSpec, arguments: Mapping[str, Any], fetch: Fetch) -> Any:
    """The value of the last step. Raises `StepFailed`."""
    values: dict[str, Any] = checked(tool.inputs, arguments)
    result: Any = None
    for step in tool.steps:
        if isinstance(step, Static):
            result = step.value
        elif isinstance(step, Template):
            result = filled(step.text, values, _as_text)[:MAX_TEXT]
        elif isinstance(step, HttpGet):
            result = await _got(step, values, fetch)
        else:
            result = transformed(step, values[step.source])
        values[step.into] = result
    return result


def checked(inputs: tuple[Input, ...], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, complete and of the right types; numbers are not made of text. Raises `StepFailed`."""
    if strangers := sorted(set(arguments) - {one.name for one in inputs}):
        raise StepFailed(f"there is no argument {strangers[0][:60]!r}")
    values: dict[str, Any] = {}
    for one in inputs:
        if one.name not in arguments:
            if one.required:
                raise StepFailed(f"the argument '{one.name}' is missing")
            values[one.name] = one.default
            continue
        values[one.name] = _of_type(one, arguments[one.name])
    return values


def filled(text: str, values: Mapping[str, Any], write: Callable[[Any], str]) -> str:
    """The text with its placeholders replaced, once: what a value says is never read as a placeholder."""

    def value(found: Any) -> str:
        name, *path = found.group(1).split(".")
        return write(picked(values.get(name), path))

    return PLACEHOLDER.sub(value, text)


def picked(value: Any, path: list[str]) -> Any:
    """The part of the value at the path (`items.0.name`); None where there is none."""
    for part in path:
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and len(part) < 7:
            items = cast("list[Any]", value)
            value = items[int(part)] if int(part) < len(items) else None
        else:
            return None
    return value


def transformed(step: Transform, value: Any) -> Any:
    """Picked, shortened and thinned out, in this order."""
    found = picked(value, step.pick.split(".")) if step.pick else value
    if step.first is not None and isinstance(found, list):
        found = cast("list[Any]", found)[: step.first]
    if step.keep and isinstance(found, list):
        return [_kept(one, step.keep) for one in cast("list[Any]", found)]
    return _kept(found, step.keep) if step.keep else found


async def _got(step: HttpGet, values: Mapping[str, Any], fetch: Fetch) -> Any:
    url = filled(step.url, values, lambda value: quote(_as_text(value), safe=""))
    # A value of dots alone would climb in the path, percent-encoding or not.
    if any(part in {".", ".."} for part in url.split("?")[0].split("/")):
        raise StepFailed("an argument would change where the address leads; give a plain name")
    query = {name: filled(text, values, _as_text) for name, text in step.query.items()}
    body = await fetch(url, query)
    if step.answer == "text":
        return body.decode("utf-8", "replace")[:MAX_TEXT]
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise StepFailed("the source did not answer with JSON") from error


def _kept(value: Any, names: tuple[str, ...]) -> Any:
    if not isinstance(value, dict):
        return value
    found = cast("dict[str, Any]", value)
    return {name: found[name] for name in names if name in found}


def _of_type(one: Input, value: Any) -> Any:
    fits = {
        "string": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
    }[one.type]
    if not fits:
        raise StepFailed(f"the argument '{one.name}' must be of type {one.type}")
    if isinstance(value, str) and one.choices and value not in one.choices:
        raise StepFailed(f"the argument '{one.name}' must be one of {', '.join(one.choices)}")
    if isinstance(value, str) and len(value) > one.max_length:
        raise StepFailed(f"the argument '{one.name}' may have {one.max_length} characters")
    return value


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else to_json(value).decode()
