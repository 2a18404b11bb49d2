"""The registry's MCP face: reading only. A team enters the registry by a merged change, never by a call."""

from __future__ import annotations

from typing import Any, TypeVar

import anyio.to_thread
from mcp.server.fastmcp import FastMCP

from memory import registry
from memory.session import Database

T = TypeVar("T")


def create_registry_server(database: Database) -> FastMCP:
    """Tools: query_teams, get_team_hierarchy, get_executive_teams, get_team_members, get_team_composition."""
    server = FastMCP("registry", log_level="ERROR")

    @server.tool()
    async def query_teams(skill: str = "", department: str = "", text: str = "") -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        """Living teams, with purpose, skills and manager. Everything given must match; give nothing to see all.

        skill: one exact skill, such as blog-writing. department: such as marketing. text: any of these words, anywhere.
        """

        def find() -> list[dict[str, Any]]:
            with database.read() as session:
                return registry.query(session, skill=skill, department=department, text=text)

        return {"teams": await anyio.to_thread.run_sync(find)}

    @server.tool()
    async def get_team_hierarchy() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        """The whole company as trees of teams: who answers to whom, roots included."""

        def find() -> list[dict[str, Any]]:
            with database.read() as session:
                return registry.hierarchy(session)

        return {"hierarchy": await anyio.to_thread.run_sync(find)}

    @server.tool()
    async def get_executive_teams() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        """Each executive with the teams that answer to them."""

        def find() -> list[dict[str, Any]]:
            with database.read() as session:
                return registry.executives(session)

        return {"executives": await anyio.to_thread.run_sync(find)}

    @server.tool()
    async def get_team_members(team: str) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        """The members of one living team, manager first, with their skills and tools."""

        def find() -> list[dict[str, Any]]:
            with database.read() as session:
                _known(registry.team(session, team), team)
                return registry.members(session, team)

        return {"team": team, "members": await anyio.to_thread.run_sync(find)}

    @server.tool()
    async def get_team_composition(team: str) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        """How one living team is made up: purpose, placement, size, skeptic, members."""

        def find() -> dict[str, Any]:
            with database.read() as session:
                return _known(registry.composition(session, team), team)

        return await anyio.to_thread.run_sync(find)

    return server


def _known(found: T | None, team: str) -> T:
    if found is None:
        raise ValueError(f"there is no team named '{team[:40]}'; query_teams lists the living ones")
    return found
