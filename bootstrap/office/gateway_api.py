"""The gateway's own page in the office: which tool servers were found where, admitted or not, and how they are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from bootstrap.office.admissions import admission
from mcp_servers.gateway.admitting import NotAdmissible
from mcp_servers.gateway.app import Gateway
from mcp_servers.gateway.directory import Directory
from mcp_servers.gateway.discovery import MOST_SERVICES, Found, Listing
from mcp_servers.gateway.identity import Identity
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.served import Served
from mcp_servers.gateway.upstreams import Upstreams


def gateway_api(gateway: Gateway, directory: Directory, identity: Identity, now: Callable[[], datetime]) -> FastAPI:
    """The app to mount at /api/gateway. A person only."""

    def person(request: Request) -> None:
        if identity.identify(request.headers.get("authorization"), now()).kind != "person":
            raise Refused("not_allowed", "Only a person may come to the office.")

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(person)])

    @app.exception_handler(Refused)
    def refused(_request: Request, error: Refused) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse({"error": error.message}, 401 if error.code == "unauthenticated" else 403)

    @app.get("/servers")
    async def servers() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return await described(gateway.upstreams, directory)

    @app.get("/servers/{server}/admission")
    async def to_admit(  # pyright: ignore[reportUnusedFunction]
        server: str, tool: Annotated[list[str] | None, Query(max_length=64)] = None
    ) -> Response:
        try:
            return JSONResponse(await admission(gateway.upstreams, directory, server, tool or []))
        except NotAdmissible as error:
            return JSONResponse({"error": str(error)}, 409)

    return app


async def described(upstreams: Upstreams, directory: Directory) -> dict[str, Any]:
    """`{servers: [...], cluster: [...]}`: looks everywhere again, asks every server, hides nothing that was found."""
    await directory.refresh()
    served = await upstreams.survey(patient=True)
    shown = [_served(name, one, directory) for name, one in sorted(served.items())]
    files = {one.terms.where for one in served.values()}
    placing = [directory.placed_by(name) for name in served]
    others = [one for one in directory.found if one.where not in files and one not in placing and not _builtin(one)]
    shown += [_not_served(one) for one in others]
    return {"servers": shown, "cluster": [_asked(one) for one in directory.cluster]}


def _builtin(found: Found) -> bool:
    return found.spec is not None and found.spec.kind == "builtin"


def _asked(listing: Listing) -> dict[str, Any]:
    return {
        "where": listing.where,
        "services": min(len(listing.services), MOST_SERVICES),
        "word": listing.word,
        "problem": listing.problem,
    }


def _not_served(found: Found) -> dict[str, Any]:
    return {
        "server": found.name,
        "where": found.where,
        "kind": found.spec.kind if found.spec else None,
        "admitted": False,
        "healthy": None,
        "problem": found.problem or _why_not(found.spec is not None),
        "tools": [],
        "quarantined": [],
        "missing": [],
        "missing_secrets": [],
    }


def _why_not(has_spec: bool) -> str:
    if has_spec:
        return "admitted, and no address known: name one in ELF_MCP_SERVERS or label a service in the cluster"
    return "not admitted: main has no mcp_servers/catalog entry of that name; propose it (git__propose_server)"


def _served(name: str, one: Served, directory: Directory) -> dict[str, Any]:
    spec = next((it.spec for it in directory.found if it.spec is not None and it.where == one.terms.where), None)
    compared, placed = one.compared, directory.placed_by(name)
    return {
        "server": name,
        "where": one.terms.where,
        "address": placed.url if placed else None,
        "placed_by": placed.where if placed else None,
        "kind": one.terms.kind,
        "owner": one.terms.owner,
        "admitted": True,
        "healthy": one.problem is None,
        "problem": one.problem,
        "ms": one.ms,
        "tools": [tool.name for tool in compared.served] if compared else [],
        "quarantined": [it.as_json() for it in compared.quarantined.values()] if compared else [],
        "uncounted": compared.uncounted if compared else 0,
        "missing": list(compared.missing) if compared else [],
        "missing_secrets": directory.missing_secrets(spec) if spec else [],
    }
