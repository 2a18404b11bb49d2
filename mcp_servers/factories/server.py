"""The factory as a tool server: agents ask it whether a spec holds, what it would cost and which files it becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.server.fastmcp import FastMCP
from mcp.server.fastmcp.exceptions import ToolError

from mcp_servers.factories.forecast import Assumptions, Price, UnknownPrice, forecast
from mcp_servers.factories.mcp_server import render_server
from mcp_servers.factories.server_files import parse_server
from mcp_servers.factories.server_form import form
from mcp_servers.factories.spec_files import BadSpec, parse_spec
from mcp_servers.factories.team import render
from mcp_servers.server_spec import ServerSpec
from teams.spec import TeamSpec


def create_factory_server(price_of: Callable[[str], Price | None], assumed: Assumptions | None = None) -> FastMCP:
    """The server named `factory`. `price_of` gives a model's price, or None where it is unknown."""
    server = FastMCP("factory", log_level="ERROR")

    @server.tool()
    def validate_team_spec(spec: dict[str, Any]) -> dict[str, Any]:
        """Checks a team spec against every rule. Returns {"ok": true, "errors": []}, or false and what to change."""
        try:
            parse_spec(spec)
        except BadSpec as error:
            return {"ok": False, "errors": error.errors}
        return {"ok": True, "errors": []}

    @server.tool()
    def forecast_team_cost(spec: dict[str, Any]) -> dict[str, Any]:
        """What the team would cost a month, in US dollars, with the assumptions behind it."""
        valid = _valid(spec)
        models = {valid.model_of(member) for member in valid.members}
        prices = {model: price for model in models if (price := price_of(model)) is not None}
        try:
            expected = forecast(valid, prices, assumed or Assumptions())
        except UnknownPrice as error:
            raise ToolError(str(error)) from error
        return {"usd_month": str(expected.usd_month), "basis": list(expected.basis)}

    @server.tool()
    def render_team(spec: dict[str, Any]) -> dict[str, Any]:
        """The files this spec becomes: path, SHA-256 and size (bytes) of each. Nothing is written."""
        files = render(_valid(spec)).files
        return {
            "files": [{"path": path, "sha256": file.sha256, "size": len(file.content)} for path, file in files.items()]
        }

    @server.tool()
    def describe_server_spec() -> dict[str, Any]:
        """What may be chosen of an internal tool server: its JSON schema, the rules that are checked, an example that holds."""
        return form()

    @server.tool()
    def validate_server_spec(spec: dict[str, Any]) -> dict[str, Any]:
        """Checks a tool server's spec against every rule. Returns {"ok": true, "errors": []}, or false and what to change."""
        try:
            _renderable(parse_server(spec))
        except BadSpec as error:
            return {"ok": False, "errors": error.errors}
        return {"ok": True, "errors": []}

    @server.tool(name="render_server")
    def render_server_(spec: dict[str, Any]) -> dict[str, Any]:
        """The files this server spec becomes: path, SHA-256 and size (bytes) of each. Nothing is written."""
        try:
            files = render_server(_renderable(parse_server(spec))).files
        except BadSpec as error:
            raise ToolError("The spec breaks these rules:\n" + "\n".join(f"- {it}" for it in error.errors)) from error
        return {
            "files": [{"path": path, "sha256": file.sha256, "size": len(file.content)} for path, file in files.items()]
        }

    return server


def _renderable(spec: ServerSpec) -> ServerSpec:
    if spec.kind == "builtin":
        raise BadSpec(["kind: the kernel's own servers are written by hand; use internal, http or stdio"])
    return spec


def _valid(spec: dict[str, Any]) -> TeamSpec:
    try:
        return parse_spec(spec)
    except BadSpec as error:
        raise ToolError("The spec breaks these rules:\n" + "\n".join(f"- {line}" for line in error.errors)) from error
