"""The secrets this company holds, by name: what must stand in no change, and leave in no text.

They are the files under `keys/` of the home (signing key, the person's and the metrics' token, the forge's and GitHub's, webhook secret,
tool servers' keys) and the settings that are marked secret. Not among them: members' tokens and GitHub's short-lived ones, which are
found by their shape, and the tokens by which the gateway enters teams, which live in the database alone and as long as a deployment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from bootstrap.home import Home
from bootstrap.settings import Settings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_SECRET_NAME = re.compile(r"pass|pwd|token|key|secret|auth|sig", re.IGNORECASE)
#: A part of an alert's address that is a token and no word: `slack://T1JJ3T3L2/A1BRTD4JD/…`.
_TOKEN = re.compile(r"(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[A-Za-z0-9_.~+=-]{9,}")


def known_secrets(settings: Settings, home: Home) -> dict[str, str]:
    """Name -> value, read anew. Raises `OSError`: what cannot be read cannot be looked for."""
    folder = home.path / "keys"
    keys = {
        f"key {path.relative_to(folder)}": path.read_text(errors="replace").strip()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return keys | dict(_given(settings))


def _given(settings: DataclassInstance) -> Iterator[tuple[str, str]]:
    """The settings that are not shown, each by its variable, and those of settings within settings."""
    for one in fields(settings):
        value = getattr(settings, one.name)
        if is_dataclass(value) and not isinstance(value, type):
            yield from _given(value)
            continue
        if one.repr:
            continue
        variable = str(one.metadata.get("variable", one.name))
        for name, text in _texts(variable, value):
            if one.metadata.get("address"):
                yield from _numbered(name, _in_addresses(text))
            else:
                yield name, text
                yield from _numbered(name, _tokens_of(text))


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    """A text under its name, several numbered, named ones under name and name."""
    if isinstance(value, str):
        yield from [(name, value)] if value else []
    elif isinstance(value, tuple):
        yield from _numbered(name, cast("tuple[str, ...]", value))
    elif isinstance(value, Mapping):
        yield from (
            (key if key.startswith("ELF_") else f"{name}{key}", text)
            for key, text in cast("Mapping[str, str]", value).items()
            if text
        )
    elif value is not None:
        raise TypeError(f"{name} is a secret of a kind that is not looked for: {type(value).__name__}")


def _numbered(name: str, values: Iterator[str] | tuple[str, ...]) -> Iterator[tuple[str, str]]:
    return ((f"{name} ({number})", value) for number, value in enumerate(values, 1))


def _in_addresses(text: str) -> Iterator[str]:
    """What is secret in one address, or in several by comma."""
    several = text.split(",") if text.count("://") > 1 else [text]
    for found in (_ADDRESS.search(part) for part in several):
        if found is not None:
            yield from _in_address(found[0])


def _in_address(address: str) -> Iterator[str]:
    """Its password as written and as meant; on the web a user without one (a token); parameters that are named like secrets."""
    try:
        parts = urlsplit(address)
    except ValueError:
        # No address that anybody can read: all of it may be a secret.
        yield address
        return
    user, password = parts.username or "", parts.password or ""
    hidden = password or (user if parts.scheme in ("http", "https") else "")
    # A password that is the user's name is none: whoever reads `postgres` in a change has learned nothing.
    if hidden and (not password or password != user):
        yield from dict.fromkeys((hidden, unquote(hidden)))
    yield from (value for name, value in parse_qsl(parts.query) if _SECRET_NAME.search(name))


def _tokens_of(text: str) -> Iterator[str]:
    """The tokens that an alert's address is made of, each of which is enough to write there."""
    if _ADDRESS.fullmatch(text) and "[" not in text:
        yield from _in_address(text)
        parts = urlsplit(text)
        where = "" if "." in parts.netloc else parts.netloc.rpartition("@")[2]
        yield from (part for part in (where, *parts.path.split("/")) if _TOKEN.fullmatch(part))
