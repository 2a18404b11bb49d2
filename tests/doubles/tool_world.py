"""A catalogue over a few dictionaries in place of main, and a real MCP server on loopback that can be made to misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from mcp_servers.factories.server_files import dump_server
from mcp_servers.gateway.cluster_services import ClusterServices
from mcp_servers.gateway.directory import Directory, LogOf, Sources
from mcp_servers.safe_http import Resolve, SafeHttp
from tests.doubles.serving import free_port, serving
from tests.factories.server_specs import spec, wrapped

LOOK: dict[str, Any] = {
    "name": "look",
    "description": "Looks something up.",
    "inputSchema": {"type": "object", "properties": {"what": {"type": "string"}}},
}


@dataclass
class FakeMain:
    """Main as a dictionary of files; `merge` moves it."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    moves: int = 0

    def commit(self) -> str:
        return f"{self.moves:040d}"

    def server_files(self, commit: str) -> Mapping[str, bytes]:
        return dict(self.files)

    def merge(self, data: dict[str, Any] | None, name: str = "") -> None:
        one = spec(data) if data is not None else None
        path = f"mcp_servers/catalog/{one.name if one else name}/server.yaml"
        self.files.pop(path, None)
        if one is not None:
            self.files[path] = dump_server(one).encode()
        self.moves += 1


@dataclass
class Outside:
    """Somebody's MCP server: stateless, JSON. What it says can be changed while it runs; what it was sent is kept."""

    url: str = ""
    tools: list[dict[str, Any]] = field(default_factory=lambda: [dict(LOOK)])
    answer: Callable[[dict[str, Any], Mapping[str, str]], Any] = lambda arguments, headers: {
        "content": [{"type": "text", "text": f"looked for {arguments.get('what')}"}]
    }
    redirect: str | None = None
    stream: bool = False
    forget: int = 0
    #: While set, the question for its tools is not answered; how often it was asked.
    hangs: bool = False
    listed: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    async def serve(self, request: Request) -> Response:
        if self.redirect:
            return RedirectResponse(self.redirect, 307)
        message: dict[str, Any] = json.loads(await request.body())
        self.headers.append(dict(request.headers))
        if "id" not in message:
            return Response(status_code=202)
        if message["method"] != "initialize" and self.forget:
            self.forget -= 1
            return Response(status_code=404)
        if message["method"] == "tools/list":
            self.listed += 1
            while self.hangs and not await request.is_disconnected():
                await asyncio.sleep(0.01)
        body = {"jsonrpc": "2.0", "id": message["id"], "result": self._result(message, request)}
        if self.stream:
            note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}
            asked = {"jsonrpc": "2.0", "id": 99, "method": "sampling/createMessage", "params": {}}
            text = "".join(f"event: message\ndata: {json.dumps(it)}\n\n" for it in (note, asked, body))
            return Response(text, media_type="text/event-stream", headers={"Mcp-Session-Id": "held"})
        return JSONResponse(body, headers={"Mcp-Session-Id": "held"})

    def _result(self, message: dict[str, Any], request: Request) -> Any:
        if message["method"] == "initialize":
            info = {"name": "outside", "version": "1"}
            return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
        if message["method"] == "tools/list":
            return {"tools": self.tools}
        self.calls.append(message["params"])
        return self.answer(message["params"]["arguments"], request.headers)


@contextmanager
def outside() -> Generator[Outside]:
    """Served on a loopback port."""
    double = Outside()
    app = Starlette(routes=[Route("/mcp", double.serve, methods=["POST"])])
    port = free_port()
    with serving(app, port):
        double.url = f"http://127.0.0.1:{port}/mcp"
        yield double


def admitted(double: Outside, **changes: Any) -> dict[str, Any]:
    """The spec that admits the server exactly as it is now."""
    tools = [
        {"name": it["name"], "description": it["description"], "input_schema": it["inputSchema"]} for it in double.tools
    ]
    return wrapped(tools, url=double.url, **changes)


def directory(
    main: FakeMain,
    folder: Path,
    *,
    own_networks: Sequence[str] = ("127.0.0.0/8",),
    resolve: Resolve | None = None,
    environment: str = "",
    cluster: ClusterServices | None = None,
    secrets: Mapping[str, str] | None = None,
    log_of: LogOf | None = None,
) -> Directory:
    """A directory over that main."""
    http = SafeHttp(lambda: own_networks, resolve)
    return Directory(main, Sources(environment, cluster), http, (secrets or {}).get, folder, log_of=log_of)


#: A program of the catalogue: it comes up once the file `go` is in its folder, writes down each start, and then keeps answering.
#: Its tool `env` gives what stands in `say`; with `until` it waits for a file of that name; with `err` it writes that first.
PROGRAM = """\
import json, os, pathlib, sys, time
def until(name):
    while not pathlib.Path(name).exists(): time.sleep(0.01)
with open("starts", "a") as starts: starts.write("started\\n")
until("go")
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m: continue
    a = m["params"].get("arguments", {})
    if a.get("err"): print(a["err"], file=sys.stderr, flush=True)
    if a.get("die"): sys.exit(3)
    if a.get("until"): until(a["until"])
    if m["method"] == "initialize":
        r = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}
    elif m["method"] == "tools/list":
        r = {"tools": [{"name": "env", "description": "E", "inputSchema": {"type": "object"}}]}
    else: r = {"content": [{"type": "text", "text": a.get("say", "")}]}
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": r}), flush=True)
"""


def program(folder: Path, **changes: Any) -> tuple[dict[str, Any], Path]:
    """The spec of a server of kind stdio named `program`, and its own folder below `folder`, where the file `go` is missing yet."""
    own = folder / "program"
    own.mkdir(parents=True)
    (own / "main.py").write_text(PROGRAM)
    tool = {"name": "env", "description": "E", "input_schema": {"type": "object"}}
    command = ["python3", "-c", "exec(open('main.py').read())"]
    return wrapped([tool], **({"name": "program", "kind": "stdio", "url": None, "command": command} | changes)), own
