"""A real receiver of alerts on loopback, and a real database."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from memory.watching import Cause
from tests.doubles.serving import serving

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


@dataclass
class Receiver:
    """What came in; `status` is what it answers."""

    url: str = ""
    status: int = 200
    got: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def apprise(self) -> str:
        return self.url.replace("http://", "json://")

    @property
    def said(self) -> str:
        return "\n".join(f"{one['title']}\n{one['message']}" for one in self.got)


@contextmanager
def receiver() -> Generator[Receiver]:
    app, it = FastAPI(), Receiver()

    @app.post("/{path:path}")
    async def take(request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction] - a route
        it.got.append(await request.json())
        return JSONResponse({}, it.status)

    with serving(app) as url:
        it.url = url
        yield it


def cause(key: str = "incident:legal-team", text: str = "its import fails", level: str = "critical") -> Cause:
    return Cause(key, level, f"Something is the matter with {key}", text)
