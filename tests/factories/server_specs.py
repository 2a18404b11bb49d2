"""Tool servers for tests."""

from __future__ import annotations

from typing import Any

from mcp_servers.factories.server_files import parse_server
from mcp_servers.server_spec import ServerSpec


def internal(**changes: Any) -> dict[str, Any]:
    """A server of each kind of step, fetching from a public name."""
    data: dict[str, Any] = {
        "name": "weather",
        "kind": "internal",
        "purpose": "The weather anywhere",
        "description": "Says how the weather is in a city.",
        "owner": "person:owner",
        "credentials": [{"name": "WEATHER_KEY", "header": "Authorization", "prefix": "Bearer "}],
        "tools": [
            {
                "name": "current",
                "description": "The weather now, in one line.",
                "inputs": [
                    {"name": "city", "description": "A city's name"},
                    {"name": "days", "type": "integer", "description": "How many", "required": False, "default": 3},
                ],
                "steps": [
                    {
                        "do": "http_get",
                        "url": "https://api.weather.example/v1/{city}",
                        "query": {"days": "{days}"},
                        "into": "found",
                    },
                    {"do": "transform", "source": "found", "pick": "items", "first": 2, "keep": ["t"], "into": "short"},
                    {"do": "template", "text": "{city}: {short.0.t} degrees"},
                ],
            },
            {
                "name": "about",
                "description": "What this server is.",
                "steps": [{"do": "static", "value": {"version": 1}}],
            },
        ],
    }
    return data | changes


def wrapped(tools: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """Somebody's server, with its tools as admitted."""
    data: dict[str, Any] = {
        "name": "outside",
        "kind": "http",
        "purpose": "Somebody's server",
        "description": "A server that somebody else runs.",
        "owner": "person:owner",
        "url": "http://127.0.0.1:1/mcp",
        "tools": tools,
    }
    return data | changes


def spec(data: dict[str, Any]) -> ServerSpec:
    return parse_server(data)
