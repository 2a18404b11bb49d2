"""What a rendered server's `server.py` stands on when it runs by itself, in a container: its spec, its secrets, its connections."""

from __future__ import annotations

import os
from pathlib import Path

from mcp.server.fastmcp import FastMCP
from mcp.types import Tool
from starlette.requests import Request
from starlette.responses import JSONResponse

from mcp_servers.catalog_runtime.server import InternalServer
from mcp_servers.factories.server_files import load_server
from mcp_servers.safe_http import SafeHttp
from mcp_servers.server_spec import ServerSpec

PORT = 8080


class CatalogServer(FastMCP):
    """FastMCP that lists its tools as the spec has them: the definitions that were admitted, whatever the functions' types say."""

    def __init__(self, name: str, steps: InternalServer) -> None:
        self._steps = steps
        super().__init__(
            name,
            host="0.0.0.0",  # noqa: S104 (in a container; the network policy says who reaches it)
            port=PORT,
            stateless_http=True,
            json_response=True,
            log_level="ERROR",
        )
        self.custom_route("/health", methods=["GET"])(_health)

    async def list_tools(self) -> list[Tool]:
        return await self._steps.list_tools()


def beside(file: str) -> InternalServer:
    """The server of the `server.yaml` beside this file. Own networks come from ELF_OWN_NETWORKS (comma-separated)."""
    spec = load_server((Path(file).parent / "server.yaml").read_bytes())
    networks = tuple(filter(None, os.environ.get("ELF_OWN_NETWORKS", "").split(",")))
    return InternalServer(spec, SafeHttp(lambda: networks), lambda: _headers(spec))


async def _health(_request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def _headers(spec: ServerSpec) -> dict[str, str]:
    """Secrets as Kubernetes puts them into the environment: ELF_SECRET_<NAME>."""
    return {
        one.header: one.prefix + value
        for one in spec.credentials
        if one.header and (value := os.environ.get(f"ELF_SECRET_{one.name}"))
    }
