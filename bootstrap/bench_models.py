"""What a model call costs on its way through the gateway, in CPU, against the provider's stub called directly.

Three processes: a stub provider, the gateway with its real database (budget, usage and ledger rows on), and this one as the client.
Counted is the CPU of the gateway's process, and the client's own difference; the ratio is of one run on one machine.
"""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvicorn
from starlette.types import Receive, Scope, Send

CALLS = 400
_KEY, _TEAM, _MEMBER = b"k" * 32, "bench-team", "maker"
_ASK = {"model": "default", "messages": [{"role": "user", "content": "Say something short, please. " * 20}]}


def measure(calls: int = CALLS) -> list[dict[str, Any]]:
    """Figures as `./elf bench` prints them: milliseconds of CPU a call."""
    with (
        tempfile.TemporaryDirectory() as folder,
        httpx.Client(trust_env=False) as client,
        _process("stub") as (_, stub),
        _process("gateway", folder, stub) as (gateway, url),
    ):
        token = json.loads((Path(folder) / "token.json").read_text())
        headers = {"authorization": f"Bearer {token}", "x-elf-purpose": "member-work", "x-elf-run": "none"}
        _calls(client, stub, {}, 50)
        _calls(client, url, headers, 50)
        direct, _ = _cost(client, stub, {}, calls, None)
        through, server = _cost(client, url, headers, calls, gateway)
    return [
        _figure("model call, stub asked directly: client's CPU", direct, None),
        _figure("model call through the gateway: CPU added", server + through - direct, 1.5),
        _figure("model call through the gateway: its process alone", server, None),
    ]


def _cost(
    client: httpx.Client, url: str, headers: dict[str, str], calls: int, process: psutil.Process | None
) -> tuple[float, float]:
    """Milliseconds of CPU a call: ours, and the process's."""
    before, ours = _cpu(process), time.process_time()
    _calls(client, url, headers, calls)
    return (time.process_time() - ours) * 1000 / calls, (_cpu(process) - before) * 1000 / calls


def _calls(client: httpx.Client, url: str, headers: dict[str, str], calls: int) -> None:
    for number in range(calls):
        answer = client.post(f"{url}/v1/chat/completions", json=_ASK | {"seed": number}, headers=headers)
        answer.raise_for_status()


def _cpu(process: psutil.Process | None) -> float:
    times = process.cpu_times() if process else None
    return times.user + times.system if times else 0.0


@contextmanager
def _process(kind: str, *arguments: str) -> Generator[tuple[psutil.Process, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "bootstrap.bench_models", kind, str(port), *arguments]
    process = subprocess.Popen(command, cwd=root)
    try:
        _wait(port, process)
        yield psutil.Process(process.pid), f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("a process of the measurement did not start; run it by hand to see why")


async def _stub(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers every request as a small OpenAI-compatible server would."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    message = {"role": "assistant", "content": "Something short."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 120, "completion_tokens": 4, "total_tokens": 124}
    head = {"id": "c1", "object": "chat.completion", "created": 1, "model": "stub"}
    body = json.dumps(head | {"choices": [choice], "usage": usage}).encode()
    length = (b"content-length", str(len(body)).encode())
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json"), length]}
    )
    await send({"type": "http.response.body", "body": body})


def _serve_gateway(port: int, folder: Path, stub: str) -> None:
    from fastapi import FastAPI

    from mcp_servers.gateway.app import GatewayParts, create_gateway
    from mcp_servers.gateway.guard import Guard
    from mcp_servers.gateway.identity import Identity, operator_token_hash
    from mcp_servers.gateway.model_settings import ModelSettings
    from mcp_servers.gateway.prices import Rate
    from memory.migrate import upgrade
    from memory.session import Database
    from policies.access import Access
    from policies.budgets import Budgets
    from policies.models import LoopLimits, ModelsLaw

    database = Database(f"sqlite:///{folder / 'bench.db'}")
    upgrade(database)
    identity = Identity(_KEY, operator_token_hash("bench"), lambda deployment: deployment == "bench")
    budgets = Budgets.model_validate(
        {"company_usd_day": 500, "company_usd_month": 5000, "team_usd_day": 500, "run_usd": 3}
    )
    rate = Rate(Decimal("0.25"), Decimal(2))
    law = ModelsLaw(loops=LoopLimits(same_request_at_most=None, calls_in_a_run_at_most=None))

    def no_models(team: str, member: str) -> tuple[str, ...]:
        del team, member
        return ()

    def unknown(_: str) -> None:
        return None

    def nobody(_: object) -> dict[str, Any]:
        raise RuntimeError("the measurement rehearses nothing")

    gateway = create_gateway(
        GatewayParts(
            database=database,
            identity=identity,
            access=lambda: Access(grants=()),
            budgets=lambda: budgets,
            models_of=no_models,
            team_budget_usd=unknown,
            address_of=unknown,
            model_settings=ModelSettings(base_url=f"{stub}/v1", base_url_model="stub", price_per_million=rate),
            rehearsal=nobody,
            tool_servers=(),
            public_url=f"http://127.0.0.1:{port}",
            clock=lambda: datetime.now(UTC),
            new_id=lambda: secrets.token_hex(16),
            models_law=lambda: law,
        )
    )
    claims: dict[str, Any] = {"deployment_id": "bench", "jti": "bench", "lifetime": timedelta(hours=1)}
    token = identity.issue(_TEAM, _MEMBER, manager=False, now=datetime.now(UTC), **claims)
    (folder / "token.json").write_text(json.dumps(token))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(gateway.router)
    uvicorn.run(Guard(gateway.before(app), {f"127.0.0.1:{port}"}), port=port, log_level="warning", access_log=False)


def _figure(what: str, value: float, reach: float | None) -> dict[str, Any]:
    return {"what": what, "value": round(value, 3), "unit": "ms", "reach": reach}


def main(kind: str, *arguments: str) -> None:
    """`stub PORT`, `gateway PORT FOLDER STUB`, or `measure`."""
    if kind == "stub":
        uvicorn.run(_stub, port=int(arguments[0]), log_level="warning", access_log=False)
    elif kind == "gateway":
        _serve_gateway(int(arguments[0]), Path(arguments[1]), arguments[2])
    else:
        sys.stdout.write(json.dumps(measure(), indent=2) + "\n")


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["measure"]))
