"""YAML without its traps: what a person wrote, or an error that says where and what to do.

Values are JSON's (text, whole numbers, decimals, true/false, null, lists, mappings with text keys). Aliases, tags, equal
keys, several documents, deep nesting and large inputs are refused while parsing, before anything is built from them.
What reads as a number or a truth value is a subset of what PyYAML's dumper quotes: what `yaml.safe_dump` writes comes back equal.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

MAX_NUMBER = 40
"""Digits of a number, at most: turning long digits into a number takes more than linear time."""


class BadYaml(ValueError):
    """The text is refused; the message names the line and the fix."""


def load(text: str | bytes, *, max_bytes: int = 256_000, max_depth: int = 20) -> object:
    """The one document in `text`; None if it is empty.

    `max_bytes` counts UTF-8 bytes, `max_depth` nested lists and mappings. Raises `BadYaml`, and nothing else.
    """
    decoded = _decoded(text, max_bytes)
    try:
        loader = _Loader(decoded, max_depth)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = decoded.count("\n", 0, error.position) + 1
        raise BadYaml(f"line {line}: contains the unprintable character U+{_code(error):04X}; remove it") from error
    except yaml.MarkedYAMLError as error:
        raise BadYaml(_explained(error)) from error
    except RecursionError as error:
        raise BadYaml(f"line 1: nested deeper than {max_depth} levels; make it flatter") from error


def _decoded(text: str | bytes, max_bytes: int) -> str:
    try:
        raw = text.encode() if isinstance(text, str) else text
        if len(raw) > max_bytes:
            raise BadYaml(f"line 1: {len(raw)} bytes are more than the {max_bytes} allowed; make it shorter")
        return raw.decode()
    except UnicodeError as error:
        seen = error.object[: error.start] if isinstance(error, UnicodeDecodeError | UnicodeEncodeError) else b""
        line = seen.count(b"\n" if isinstance(seen, bytes) else "\n") + 1  # pyright: ignore[reportArgumentType] one type in, the same type counted
        raise BadYaml(f"line {line}: not UTF-8 text; save the file as UTF-8") from error


def _code(error: yaml.reader.ReaderError) -> int:
    return ord(error.character) if isinstance(error.character, str) else int(error.character)


def _explained(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}" if mark else "line 1"
    problem = error.problem or error.context or "not readable as YAML"
    if isinstance(error, _Refused):
        return f"{where}: {problem}"
    if "single document" in (error.context or ""):
        return f"{where}: a second document starts here; keep one document a file and remove the '---'"
    return f"{where}: {problem}; check indentation, quotes and brackets there"


class _Refused(yaml.MarkedYAMLError):
    """A trap this loader does not fall into."""

    def __init__(self, problem: str, mark: yaml.Mark) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with the traps closed while composing (so before anything is constructed)."""

    def __init__(self, text: str, max_depth: int) -> None:
        super().__init__(text)
        self._max_depth = max_depth
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # pyright: ignore[reportUnknownVariableType] PyYAML's parser is untyped
        mark: yaml.Mark = event.start_mark
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise _Refused(
                "anchors (&) and aliases (*) are not allowed; write the value out, or quote it if it is text", mark
            )
        if event.tag is not None:
            raise _Refused(
                f"the tag {event.tag[:60]!r} is not allowed; remove it, or quote the value if it is text", mark
            )
        if isinstance(event, yaml.ScalarEvent):
            return super().compose_node(parent, index)
        self._depth += 1
        if self._depth > self._max_depth:
            raise _Refused(f"nested deeper than {self._max_depth} levels; make it flatter", mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def compose_mapping_node(self, anchor: Any) -> Any:
        node: Any = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise _Refused(f"the key {str(key.value)[:60]!r} is not text; put it in quotes", key.start_mark)
            if key.value in seen:
                raise _Refused(f"the key {key.value[:60]!r} is given twice; remove one", key.start_mark)
            seen.add(key.value)
        return node

    def compose_scalar_node(self, anchor: Any) -> Any:
        node: Any = super().compose_scalar_node(anchor)
        if node.tag.endswith((":int", ":float")) and len(node.value) > MAX_NUMBER:
            raise _Refused(
                f"a number of {len(node.value)} digits; shorten it, or quote it if it is text", node.start_mark
            )
        return node


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+\.[0-9]+(?:[eE][-+][0-9]+)?$"), list("-+0123456789")
)
