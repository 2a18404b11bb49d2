"""CPU that the gateway adds to a tool call, audit written: python -m tests.gateway.measure_tool_call [CALLS]

The server is a real MCP server (FastMCP, stateless) in a process of its own; the gateway is another. Each is called with the same
raw client; CPU is what the processes themselves used, so the client and the machine's load stand outside.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil

HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
SERVER = """
import sys
from mcp.server.fastmcp import FastMCP
s = FastMCP("echo", host="127.0.0.1", port=int(sys.argv[1]), stateless_http=True, json_response=True, log_level="ERROR")
@s.tool()
async def echo(text: str) -> str:
    "Echoes."
    return text
s.run(transport="streamable-http")
"""
GATEWAY = """
import sys
from pathlib import Path
from policies.access import Access, Grant
from mcp_servers.server_spec import ServerSpec
from tests.doubles.gateway import World, office
from tests.doubles.tool_world import FakeMain, directory
import tests.doubles.gateway as doubles
from tests.gateway.measure_tool_call import admitted_from
from mcp_servers.gateway.app import GatewayParts
url, folder = sys.argv[1], Path(sys.argv[2])
main = FakeMain()
main.merge(admitted_from(url))
made = directory(main, folder)
plain = doubles.create_gateway
doubles.create_gateway = lambda parts: plain(GatewayParts(**{**parts.__dict__, "catalogue": made}))
world = World(grants=(Grant(to="marketing-team/*", tools=("outside__echo", "desk__whoami")),))
with office(folder, world=world) as o:
    print(o.url, o.token(), flush=True)
    sys.stdin.read()
"""


def admitted_from(url: str) -> dict[str, Any]:
    """The spec that admits what the server lists now."""
    from tests.factories.server_specs import wrapped

    tools = _post(url, "tools/list", {}, HEADERS)["result"]["tools"]
    return wrapped(
        [{"name": it["name"], "description": it["description"], "input_schema": it["inputSchema"]} for it in tools],
        url=url,
    )


def _post(url: str, method: str, params: dict[str, Any], headers: dict[str, str]) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(url, json=body, headers=headers, timeout=30).json()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _spent(processes: list[psutil.Process], calls: int, act: Callable[[], None]) -> float:
    """CPU milliseconds of these processes, a call."""
    for _ in range(50):
        act()
    before = sum(_cpu(it) for it in processes)
    for _ in range(calls):
        act()
    return (sum(_cpu(it) for it in processes) - before) / calls * 1000


def main(calls: int) -> None:
    """Prints the figures as JSON."""
    from tests.doubles.serving import free_port

    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(port)])
    url = f"http://127.0.0.1:{port}/mcp"
    with tempfile.TemporaryDirectory() as folder:
        _until(url)
        gateway = subprocess.Popen(
            [sys.executable, "-c", GATEWAY, url, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            assert gateway.stdout is not None
            address, token = gateway.stdout.readline().split()
            processes = [psutil.Process(server.pid), psutil.Process(gateway.pid)]
            with httpx.Client(timeout=30) as client:
                mine = HEADERS | {"Authorization": f"Bearer {token}"}

                def call(where: str, tool: str, arguments: dict[str, Any], headers: dict[str, str]) -> None:
                    params = {"name": tool, "arguments": arguments}
                    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
                    answer = client.post(where, json=body, headers=headers).json()
                    assert not answer["result"].get("isError"), answer

                direct = _spent(processes[:1], calls, lambda: call(url, "echo", {"text": "x" * 200}, HEADERS))
                there = f"{address}/mcp"
                through = _spent(processes, calls, lambda: call(there, "outside__echo", {"text": "x" * 200}, mine))
                own = _spent(processes[1:], calls, lambda: call(there, "desk__whoami", {}, mine))
        finally:
            gateway.kill()
            server.kill()
            gateway.wait()
            server.wait()
    figures = {"server_called_directly_ms": direct, "through_the_gateway_ms": through, "added_ms": through - direct}
    figures["own_server_whole_ms"] = own
    sys.stdout.write(json.dumps({name: round(value, 3) for name, value in figures.items()}) + "\n")


def _until(url: str) -> None:
    for _ in range(200):
        try:
            _post(url, "tools/list", {}, HEADERS)
        except httpx.HTTPError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(url)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
