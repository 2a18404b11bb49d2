"""Folders as the factories make them: path in the repository -> files by path inside it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mcp_servers.factories import team
from mcp_servers.factories.mcp_server import render_server
from mcp_servers.factories.spec_files import load_spec
from mcp_servers.server_spec import ServerSpec
from teams.spec import TeamSpec
from tests.factories import server_specs, specs

ROOT = Path(__file__).parents[2]
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
TEAM = "teams/content_team"
SERVER = "mcp_servers/catalog/weather"


@cache
def folders() -> dict[str, dict[str, bytes]]:
    """One of every kind that the factories know, the company's own first teams among them."""
    meta = {
        name: load_spec((ROOT / "meta_teams" / name / "team.yaml").read_bytes()) for name in ("devops", "executive")
    }
    return {
        TEAM: of_team(specs.content_team()),
        "teams/support_team": of_team(specs.support_team()),
        **{f"meta_teams/{name}": dict(team.render(spec, "meta_teams")) for name, spec in meta.items()},
        SERVER: of_server(server_specs.spec(server_specs.internal())),
        "mcp_servers/catalog/outside": of_server(server_specs.spec(server_specs.wrapped([TOOL]))),
    }


def of_team(spec: TeamSpec) -> dict[str, bytes]:
    return dict(team.render(spec, "teams"))


def of_server(spec: ServerSpec) -> dict[str, bytes]:
    return dict(render_server(spec))
