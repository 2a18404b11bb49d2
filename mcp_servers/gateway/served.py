"""A tool server behind the gateway: what the gateway needs of one, and what is known of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from mcp.types import CallToolResult, Tool

from mcp_servers.gateway.admission import Compared, Quarantined, Terms
from mcp_servers.gateway.identity import Caller


class ToolServer(Protocol):
    """One server behind the gateway. Its tools are named without the server's name."""

    name: str

    async def list_tools(self) -> list[Tool]: ...
    async def call_tool(self, tool: str, arguments: dict[str, Any], caller: Caller) -> CallToolResult: ...


@runtime_checkable
class OneAtATime(Protocol):
    """A server that takes one question after the other, and keeps the time of each itself, from when it has its turn."""

    @property
    def doing(self) -> str | None:
        """Why a question would have to wait now, `is starting`; None: it is free."""
        ...

    async def look(self, seconds: float) -> list[Tool]:
        """Its tools. Starting it and waiting for its turn take what they take; `TimeoutError` `seconds` after that."""
        ...


@dataclass
class Served:
    """A server, its terms, and what was last seen of it."""

    server: ToolServer
    terms: Terms
    #: Tool name -> hash as admitted; of the kernel's own servers, as they were at the first look.
    admitted: Mapping[str, str] | None = None
    compared: Compared | None = None
    problem: str | None = None
    #: Milliseconds that the last look took.
    ms: int = 0
    checked_at: float = float("-inf")
    told: set[tuple[str, str | None]] = field(default_factory=set[tuple[str, str | None]])
    #: The look that is under way, which all who ask meanwhile share, and when it began.
    look: asyncio.Task[None] | None = None
    looked_since: float = float("-inf")
    #: The server itself, if it keeps its own time. Asked once, for each call wants to know.
    in_turn: OneAtATime | None = field(init=False)

    def __post_init__(self) -> None:
        self.in_turn = self.server if isinstance(self.server, OneAtATime) else None

    async def close(self) -> None:
        """Gives up a look that is under way, and ends the server's connections and programs."""
        if self.look is not None:
            self.look.cancel()
            await asyncio.gather(self.look, return_exceptions=True)
        close = getattr(self.server, "close", None)
        if close is not None:
            await close()


#: Told once of each tool that was quarantined: server and what is wrong.
OnQuarantine = Callable[[str, Quarantined], Awaitable[None]]
