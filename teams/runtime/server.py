"""A team's HTTP server (F13): health before anything else is there, then A2A, tasks and capabilities for who shows the token."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket
from uuid import uuid4

import uvicorn
from a2a.server.routes import add_a2a_routes_to_fastapi, create_agent_card_routes, create_jsonrpc_routes
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from teams.messages import MessageRefused
from teams.runtime.a2a_face import CALLER_HEADER, RecentTasks, TeamExecutor, TeamRequests, agent_card, plain_run
from teams.runtime.deployment import Deployment
from teams.runtime.guard import Guard
from teams.runtime.package import Unusable, read_spec
from teams.runtime.process import TeamProcess

# Loaded at the first request otherwise, in every forked team anew.
for _late in ("httpcore", "uvicorn.lifespan.on", "uvicorn.protocols.http.auto"):
    importlib.import_module(_late)

_HTTP_STATUS = {"completed": 200, "input_required": 200, "rejected": 422, "failed": 500}


class TaskRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    message: str


class FreshTokens(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tokens: dict[str, str] = Field(max_length=50)


def create_app(deployment: Deployment, *, confinement: str = "") -> FastAPI:
    """The app of one team process. `confinement` says how the process is shut in, for its health."""
    team = TeamProcess(deployment)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        requests = None
        try:
            requests = _add_a2a(app, team)
            starting = asyncio.create_task(team.start())
            yield
            starting.cancel()
        finally:
            if requests is not None:
                await requests.aclose()
            await team.stop()

    app = FastAPI(title=deployment.team, docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.add_middleware(Guard, token_sha256=deployment.inbound_token_sha256)

    @app.get("/health")
    def health() -> JSONResponse:
        spec, state = team.spec, team.health
        body = {
            "status": state.status,
            **({"reason": state.reason} if state.reason else {}),
            "team": deployment.team,
            "tree": deployment.tree,
            "deployment_id": deployment.deployment_id,
            "framework": spec.framework if spec else None,
            "members": [member.name for member in spec.members] if spec else [],
            "confinement": confinement,
        }
        return JSONResponse(body, 200 if state.status == "ok" else 503)

    @app.get("/capabilities")
    def capabilities() -> JSONResponse:
        if not (spec := team.spec):
            return JSONResponse({"detail": "this team is starting"}, 503)
        members = [{"name": m.name, "role": m.role, "skills": m.skills, "manager": m.manager} for m in spec.members]
        body = {
            "team": spec.name,
            "purpose": spec.purpose,
            "description": spec.description,
            "placement": spec.placement,
            "framework": spec.framework,
            "skills": spec.skills,
            "members": members,
        }
        return JSONResponse(body)

    @app.post("/task")
    async def task(body: TaskRequest, request: Request) -> JSONResponse:
        try:
            run = plain_run(body.message, str(uuid4()), request.headers.get(CALLER_HEADER, "unknown"))
        except MessageRefused as error:
            return JSONResponse({"detail": str(error)}, 422)
        result = await team.handle(run)
        answer = {"answer": result.text, "state": result.state, "data": result.to_data()}
        return JSONResponse(answer, _HTTP_STATUS[result.state])

    @app.post("/control/tokens")
    def renew(body: FreshTokens) -> Response:
        """Only the kernel has the inbound token and comes here: a team is given new tokens and cannot ask for any."""
        try:
            team.tokens.renew(body.tokens)
        except ValueError as error:
            return JSONResponse({"detail": str(error)}, 422)
        return Response(status_code=204)

    return app


def _add_a2a(app: FastAPI, team: TeamProcess) -> TeamRequests | None:
    """The A2A routes. The card needs the spec, which a broken folder does not give: then there is no card, only health."""
    try:
        spec = read_spec(team.deployment.folder)
    except Unusable:
        return None
    url = f"{team.deployment.gateway_url}/a2a/{spec.name}"
    card = agent_card(spec, url, team.deployment.tree[:12] or "0")
    handler = TeamRequests(TeamExecutor(team.handle), RecentTasks(), card)
    add_a2a_routes_to_fastapi(
        app,
        agent_card_routes=create_agent_card_routes(card, cache_control="public, max-age=60"),
        jsonrpc_routes=[route for path in ("/a2a", "/a2a/") for route in create_jsonrpc_routes(handler, path)],
    )
    return handler


def serve(deployment: Deployment, sock: socket, *, confinement: str = "") -> None:
    """Serves on a listening socket until SIGTERM."""
    # Whatever a framework wants to keep (CrewAI: a key file and its last outputs) goes into the team's own folder.
    os.environ.update(HOME=deployment.work_dir, CREWAI_STORAGE_DIR=deployment.work_dir)
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for ours in ("teams", "meta_teams"):
        logging.getLogger(ours).setLevel(logging.INFO)
    app = create_app(deployment, confinement=confinement)
    config = uvicorn.Config(
        app, loop="asyncio", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=5
    )
    uvicorn.Server(config).run(sockets=[sock])


def main() -> None:
    """In a container: the deployment is a mounted file, the port is the pod's."""
    told = Path(os.environ.get("ELF_DEPLOYMENT", "/etc/elf/deployment.json"))
    deployment = Deployment.model_validate_json(told.read_bytes())
    listener = socket(AF_INET, SOCK_STREAM)
    listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", int(os.environ.get("ELF_TEAM_PORT", "8080"))))  # noqa: S104 (a pod's own address)
    listener.listen(128)
    serve(deployment, listener)


if __name__ == "__main__":
    main()
