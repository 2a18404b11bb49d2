"""Lists in pages, with the `Link` header to the others, as GitHub counts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import JSONResponse

from mcp_servers.git.forge.site import Visit

Item = TypeVar("Item")
PAGE, LARGEST_PAGE = 30, 100


def paged(
    request: Request,
    visit: Visit,
    items: Sequence[Item],
    shape: Callable[[Item], dict[str, Any]],
    path: str,
    around: Callable[[list[dict[str, Any]]], dict[str, Any]] | None = None,
) -> JSONResponse:
    """The asked-for page of the items, shaped; `path` is the address below the repository, `around` what a list comes in.

    30 a page by default, 100 at most; what is no number counts as not given; a page past the last is empty.
    """
    size = min(_positive(request.query_params.get("per_page"), PAGE), LARGEST_PAGE)
    number = _positive(request.query_params.get("page"), 1)
    shown = [shape(item) for item in items[(number - 1) * size : number * size]]
    link = _links(request, visit.url + path, size, number, -(-len(items) // size))
    return JSONResponse(around(shown) if around else shown, headers={"Link": link} if link else {})


def _links(request: Request, address: str, size: int, number: int, last: int) -> str:
    others = {"prev": min(number - 1, last), "next": number + 1, "first": 1, "last": last}
    wanted = {
        rel: at
        for rel, at in others.items()
        if 1 <= at <= last and not (rel == "first" and number == 1) and not (rel == "last" and number >= last)
    }
    kept = [(key, value) for key, value in request.query_params.multi_items() if key not in {"page", "per_page"}]
    query = "".join(f"{quote(key)}={quote(value)}&" for key, value in kept)
    return ", ".join(f'<{address}?{query}per_page={size}&page={at}>; rel="{rel}"' for rel, at in wanted.items())


def _positive(text: str | None, default: int) -> int:
    usable = text is not None and len(text) < 10 and text.isascii() and text.isdigit()
    return int(text) or default if usable and text else default
