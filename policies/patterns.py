"""Patterns that people write into the law: matched whole, in linear time, or refused when the law is read.

The engine is Rust's `regex` (by pydantic-core): it knows no backtracking, so no pattern and no text makes it slow. What would
need backtracking (look-around, back-references) is an error when the law is read, and so is a pattern that grows too large.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

MAX_PATTERN = 200
#: Longer values match nothing: a grant is never wider than what a person can read.
MAX_VALUE = 4096


def matches(pattern: str, value: str) -> bool:
    """Whether the pattern matches all of the value. An unusable pattern matches nothing."""
    if len(value) > MAX_VALUE:
        return False
    try:
        _compiled(pattern).validate_python(value)
    except (ValidationError, ValueError):
        return False
    return True


def checked(pattern: str) -> str:
    """The pattern itself; `ValueError` says why it cannot be used."""
    if not pattern.isascii() or not pattern.isprintable():
        raise ValueError("a pattern is printable ASCII; write other characters as \\x{…}")
    _compile(pattern, alone=True)
    _compile(pattern, alone=False)
    return pattern


#: A regular expression in the syntax of Rust's regex crate (RE2's, in what matters here). It must match the whole value.
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN), AfterValidator(checked)]


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> SchemaValidator:
    return _compile(checked(pattern), alone=False)


def _compile(pattern: str, *, alone: bool) -> SchemaValidator:
    # Alone first: `a)|(?:b` must not close the group that anchors it.
    text = pattern if alone else rf"\A(?:{pattern})\z"
    try:
        return SchemaValidator(core_schema.str_schema(pattern=text, regex_engine="rust-regex", strict=True))
    except SchemaError as error:
        raise ValueError(
            "this is no pattern that can be matched in linear time (no look-around, no back-references, no huge "
            "repetitions); write a simpler one"
        ) from error
