"""The only ways a value gets into a rendered file: as a literal of that file's language, never as its code.

Each filter returns `Literal`; what a template prints that is not one is an error, so that no filter can be forgotten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal

from teams.spec import MODEL_PATTERN, NAME_PATTERN, PLACEMENT_PATTERN, TOOL_PATTERN, Member

LINE = 120

_NAME = re.compile(f"{NAME_PATTERN}|{PLACEMENT_PATTERN}|{MODEL_PATTERN}")
_MARKDOWN = re.compile(r"[\\`*_{}\[\]()<>#+!|~$&@:.-]")
#: Printed as they are in Python source: ASCII and the letters of western European languages. Everything else is escaped,
#: so that no look-alike and no invisible character can hide in code.
_PLAIN = frozenset(map(chr, [*range(0x20, 0x7F), *(code for code in range(0xC0, 0x100) if code not in (0xD7, 0xF7))]))


class Literal(str):
    """Text that is safe where it is printed."""

    __slots__ = ()


class Unescaped(TypeError):
    """A template printed a value without saying as what."""


def only_literals(value: object) -> object:
    """Jinja's `finalize`: what is printed must have gone through a filter."""
    if not isinstance(value, Literal):
        raise Unescaped(f"the template prints {value!r:.60} without a filter: use name, py or md")
    return value


def name(value: str) -> Literal:
    """A name whose pattern leaves nothing to escape in any of the languages."""
    if not _NAME.fullmatch(value):
        raise Unescaped(f"{value!r:.60} is not a name")
    return Literal(value)


def module(value: str) -> Literal:
    """A name as a Python identifier."""
    return Literal(name(value).replace("-", "_"))


def package(value: str) -> Literal:
    """A folder that is a Python package (`marketing_team`, `meta_teams`)."""
    if not value.isidentifier() or not value.isascii():
        raise Unescaped(f"{value!r:.60} is not a package name")
    return Literal(value)


def tool(value: str) -> Literal:
    """A tool's name at the gateway."""
    if not re.fullmatch(TOOL_PATTERN, value):
        raise Unescaped(f"{value!r:.60} is not a tool's name")
    return Literal(value)


def number(value: int) -> Literal:
    return Literal(f"{value:d}")


def word(value: str) -> Literal:
    """A tool server's or a tool's own name: lower-case words joined by underscores."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", value):
        raise Unescaped(f"{value!r:.60} is not a name of words")
    return Literal(value)


def dns(value: str) -> Literal:
    """Such a name as Kubernetes takes it."""
    return Literal(word(value).replace("_", "-"))


def variable(value: str) -> Literal:
    """The name of an environment variable, a secret or a header."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", value):
        raise Unescaped(f"{value!r:.60} is not the name of a variable")
    return Literal(value)


def sha256(value: str) -> Literal:
    if not re.fullmatch(r"[0-9a-f]{12,64}", value):
        raise Unescaped(f"{value!r:.60} is not a digest")
    return Literal(value)


def usd(value: Decimal) -> Literal:
    return Literal(f"{abs(value):.2f}")


def sort_modules(members: tuple[Member, ...]) -> list[Member]:
    """In the order in which ruff sorts import statements: digits as numbers, those with a leading zero as text."""

    def key(member: Member) -> list[tuple[bool, int, str]]:
        parts = re.findall(r"\d+|\D+", member.name.replace("-", "_"))
        return [(not part.isdigit(), 0 if part[0] == "0" or not part.isdigit() else int(part), part) for part in parts]

    return sorted(members, key=key)


def md(value: str) -> Literal:
    """Text as one paragraph of Markdown that shows the text: no markup, no link, no mention, no HTML."""
    flat = " ".join(value.split())
    return Literal(
        _MARKDOWN.sub(
            lambda found: f"&#{ord(found.group())};" if found.group() in "&@:<>" else "\\" + found.group(), flat
        )
    )


def py(value: str, indent: int = 0, before: str = "", after: str = ",") -> Literal:
    """A Python string, formatted as `ruff format` would: on one line if it fits, else in parentheses.

    `indent` is the column where the line begins, `before` and `after` what stands on it around the string.
    """
    whole = _quoted(value)
    if indent + len(before) + len(whole) + len(after) <= LINE:
        return Literal(before + whole + after)
    room = LINE - indent - 4
    parts = [value] if len(whole) <= room else _parts(value, room)
    pad = " " * indent
    lines = "".join(f"{pad}    {_quoted(part)}\n" for part in parts)
    return Literal(f"{before}(\n{lines}{pad}){after}")


def py_tuple(values: tuple[str, ...], indent: int = 0, before: str = "", after: str = ",") -> Literal:
    """A Python tuple of strings, formatted as `ruff format` would."""
    items = [_quoted(value) for value in values]
    flat = f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    if indent + len(before) + len(flat) + len(after) <= LINE:
        return Literal(before + flat + after)
    pad = " " * indent
    lines = "".join(f"{pad}    {item},\n" for item in items)
    return Literal(f"{before}(\n{lines}{pad}){after}")


def json_list(values: tuple[str, ...]) -> Literal:
    """A list of strings in JSON, as Docker takes a command: no shell reads it."""
    return Literal(json.dumps(list(values), ensure_ascii=True))


def _quoted(text: str) -> str:
    """Double quotes, unless single ones spare escapes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + "".join(_escaped(char, quote) for char in text) + quote


def _escaped(char: str, quote: str) -> str:
    if char in ("\\", quote):
        return "\\" + char
    if char in _PLAIN:
        return char
    # JSON knows the short ones (\n, \t) as Python does; the others are written by their number.
    if char in "\n\t\r":
        return json.dumps(char)[1:-1]
    code = ord(char)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _parts(text: str, room: int) -> list[str]:
    """The text in pieces whose literals are at most `room` wide, cut after spaces and line ends where possible."""
    parts: list[str] = []
    current = ""
    for word in re.findall(r"\S*\s*", text):
        for piece in _fitting(word, room):
            if current and (len(_quoted(current + piece)) > room or current.endswith("\n")):
                parts.append(current)
                current = ""
            current += piece
    return [*parts, current] if current else parts


def _fitting(word: str, room: int) -> list[str]:
    """The word itself, or cut up if even alone it is too wide (an escaped character is at most 10 wide)."""
    if len(_quoted(word)) <= room:
        return [word]
    width = (room - 2) // 10
    return [word[start : start + width] for start in range(0, len(word), width)]


#: What templates may call, by its name.
FILTERS: tuple[Callable[..., object], ...] = (
    name,
    module,
    package,
    tool,
    word,
    dns,
    variable,
    sha256,
    number,
    usd,
    md,
    py,
    py_tuple,
    json_list,
    sort_modules,
)
