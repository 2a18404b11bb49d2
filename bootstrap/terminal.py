"""The terminal: where commands print, how they ask the running company, and how they end when told no."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn
from urllib.parse import quote

import typer
from rich.console import Console

from bootstrap.client import Company, CompanyError
from bootstrap.home import Home
from bootstrap.seen import Seen
from bootstrap.settings import Settings, read_settings

# Soft wrap: the terminal breaks lines, so that what is copied from it is whole.
# Into a pipe or a file, tables are as wide as what is in them.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 300)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def settings() -> Settings:
    return read_settings(os.environ)


def company() -> Company:
    """The running company of this home. Raises `CompanyError`."""
    return Company(Home(settings().home))


def show(found: Any, as_json: bool, page: Callable[[Console, Any], None]) -> None:
    """Prints an answer: as JSON, or as its page."""
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, default=str) + "\n")
    else:
        page(out, found)


def saw(changes: Iterable[Mapping[str, Any]]) -> None:
    """These changes, as the office describes them, were printed."""
    Seen(Home(settings().home)).note({one["number"]: one["head"] for one in changes})


def last_seen(number: int) -> str | None:
    return Seen(Home(settings().home)).head(number)


def stop(sentence: str, status: int) -> NoReturn:
    err.print(sentence, style="red", markup=False)
    sys.exit(status)


def whole(text: str) -> str:
    """Text as typed; bytes that are no UTF-8 reached us as surrogates and are refused here, with a sentence."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CompanyError("the text is not valid UTF-8; check the terminal's encoding and type it again") from error
    return text


def part(name: str) -> str:
    """A name as one part of a path."""
    return quote(whole(name), safe="")


def moment(text: str) -> str:
    """A day or a moment, in UTC unless it says otherwise."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        stop(f"'{text[:40]}' is no moment; write 2026-11-01 or 2026-11-01T08:00:00Z", 2)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()
