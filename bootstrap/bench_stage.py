"""The processes that `bench_calls` measures: a provider's stub, a tool server, and the gateway over a company's real law and database.

python -m bootstrap.bench_stage provider|tools|gateway …: each says in one line of JSON where it serves.
"""

from __future__ import annotations

import json
import secrets
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import yaml
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from bootstrap.lawbook import LawBook
from bootstrap.main_line import MainLine
from bootstrap.places import OWNER, REPO
from bootstrap.seed import files_of
from mcp_servers.factories.server_files import dump_server, parse_server
from mcp_servers.gateway.app import Gateway, GatewayParts, create_gateway
from mcp_servers.gateway.directory import Directory, Sources
from mcp_servers.gateway.guard import Guard
from mcp_servers.gateway.identity import Identity, operator_token_hash
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.prices import Rate
from mcp_servers.git.forge import bare_path, seed
from mcp_servers.git.objects import Signature
from mcp_servers.git.repository import Repository
from mcp_servers.safe_http import SafeHttp
from memory import deployments
from memory.migrate import upgrade
from memory.session import Database
from memory.tables import DeploymentRow

_TEAM, _MEMBER, _DEPLOYMENT = "bench-team", "maker", "bench"
_LOOPBACK = "127.0.0.0/8"
_SEEDER = Signature("elf-bench", "elf-bench@company.invalid")


def provider() -> None:
    """Answers every request as a small OpenAI-compatible server would."""
    message = {"role": "assistant", "content": "Something short."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 120, "completion_tokens": 4, "total_tokens": 124}
    head = {"id": "c1", "object": "chat.completion", "created": 1, "model": "stub"}
    body = json.dumps(head | {"choices": [choice], "usage": usage}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    _serve(lambda _: answer, {})


def tools() -> None:
    """The MCP SDK's own server, with one tool."""
    from mcp.server.fastmcp import FastMCP

    server: FastMCP[Any] = FastMCP("outside", stateless_http=True, json_response=True, log_level="ERROR")

    @server.tool()
    async def echo(text: str) -> str:  # pyright: ignore[reportUnusedFunction] - a tool
        """Echoes."""
        return text

    _serve(lambda _: server.streamable_http_app(), {})


def gateway(folder: Path, provider_url: str, tools_url: str) -> None:
    """The gateway as a company has it: law and catalogue from main, teams and money from the database."""
    database = Database(f"sqlite:///{folder / 'bench.db'}")
    upgrade(database)
    now = datetime.now(UTC)
    with database.begin() as session:
        session.add(_deployment(now))
    identity = Identity(
        b"k" * 32, operator_token_hash("bench"), lambda id_, rows: deployments.is_open(database, id_, rows)
    )
    claims: dict[str, Any] = {"deployment_id": _DEPLOYMENT, "jti": "bench", "lifetime": timedelta(hours=1)}
    token = identity.issue(_TEAM, _MEMBER, manager=False, now=now, **claims)
    repository = _repository(folder, tools_url)

    def app(url: str) -> ASGIApp:
        made = _gateway(folder, database, identity, repository, provider_url, url)
        whole = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        whole.include_router(made.router)
        return Guard(made.before(whole), {url.removeprefix("http://")})

    _serve(app, {"token": token})


def _gateway(
    folder: Path, database: Database, identity: Identity, repository: Repository, provider_url: str, url: str
) -> Gateway:
    law = LawBook(repository)
    http = SafeHttp(lambda: law.law().access.own_networks)
    return create_gateway(
        GatewayParts(
            database=database,
            identity=identity,
            access=lambda: law.law().access,
            budgets=lambda: law.law().budgets,
            models_law=lambda: law.law().models,
            models_of=lambda _team, _member: (),
            team_budget_usd=lambda _: None,
            address_of=lambda _: None,
            model_settings=ModelSettings(
                base_url=f"{provider_url}/v1",
                base_url_model="stub",
                price_per_million=Rate(Decimal("0.0025"), Decimal("0.02")),
            ),
            rehearsal=_nobody,
            tool_servers=(),
            catalogue=Directory(MainLine(repository), Sources(), http, lambda _: None, folder),
            public_url=url,
            clock=lambda: datetime.now(UTC),
            new_id=lambda: secrets.token_hex(16),
        )
    )


def _nobody(_: object) -> dict[str, Any]:
    raise RuntimeError("the measurement rehearses nothing")


def _repository(folder: Path, tools_url: str) -> Repository:
    """This checkout's files as a company's main, with the tool server admitted and its tool granted, as often as one likes."""
    contents, modes = files_of(Path(__file__).resolve().parents[1])
    grants = {"grants": [{"to": f"{_TEAM}/*", "tools": ["outside__echo"]}], "own_networks": [_LOOPBACK]}
    changed = {
        "policies/access.yaml": yaml.safe_dump(grants),
        "mcp_servers/catalog/outside/server.yaml": dump_server(parse_server(_admitted(tools_url))),
    }
    contents |= {path: text.encode() for path, text in changed.items()}
    modes |= dict.fromkeys(changed, "100644")
    seed(folder / "forge", OWNER, REPO, contents, modes, _SEEDER, datetime(2026, 1, 1, tzinfo=UTC), "Measure\n")
    bare = bare_path(folder / "forge", OWNER, REPO)
    assert bare is not None
    return Repository(bare)


def _admitted(tools_url: str) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    accept = {"accept": "application/json, text/event-stream"}
    answer = httpx.post(f"{tools_url}/mcp", json=body, headers=accept, trust_env=False).raise_for_status()
    listed = answer.json()["result"]["tools"]
    return {
        "name": "outside",
        "kind": "http",
        "purpose": "A server to be measured",
        "description": "Echoes what it is given.",
        "owner": "person:owner",
        "url": f"{tools_url}/mcp",
        "tools": [
            {"name": it["name"], "description": it["description"], "input_schema": it["inputSchema"]} for it in listed
        ],
    }


def _deployment(now: datetime) -> DeploymentRow:
    names = {"id": _DEPLOYMENT, "team": _TEAM, "tree": "0" * 40, "commit": "0" * 40, "inbound_token": "none"}
    ended = {"ended_at": None, "ended_as": None, "reason": None, "address": None}
    return DeploymentRow(**names, **ended, started_at=now, healthy_at=now)


def _serve(app: Callable[[str], ASGIApp], facts: dict[str, str]) -> None:
    """Serves on a free port, which `app` is told as a URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    served = app(url)
    sys.stdout.write(json.dumps({"url": url} | facts) + "\n")
    sys.stdout.flush()
    config = uvicorn.Config(served, log_level="warning", access_log=False, proxy_headers=False)
    uvicorn.Server(config).run(sockets=[listener])


def main(kind: str, *arguments: str) -> None:
    """`provider`, `tools`, or `gateway FOLDER PROVIDER TOOLS`."""
    if kind == "provider":
        provider()
    elif kind == "tools":
        tools()
    else:
        gateway(Path(arguments[0]), arguments[1], arguments[2])


if __name__ == "__main__":
    main(*sys.argv[1:])
