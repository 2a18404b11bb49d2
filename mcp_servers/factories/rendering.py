"""How templates become files: strictly, and printing nothing that did not go through a filter of `literals`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mcp_servers.factories import literals

TEMPLATES = Path(__file__).parent / "templates"


def environment() -> Environment:
    """Loads from `templates/`; an undefined name and an unfiltered value are errors."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        # HTML's escapes would be wrong in every one of these languages; `only_literals` demands the right ones.
        autoescape=False,  # noqa: S701
        finalize=literals.only_literals,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = made.filters  # pyright: ignore[reportAssignmentType] (jinja's type lists its own)
    for function in literals.FILTERS:
        filters[function.__name__] = function
    return made
