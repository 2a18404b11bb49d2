"""Other sites cannot use the browser of this machine against the company, and no body is larger than allowed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.types import Message

from mcp_servers.gateway.guard import DEFAULT_BODY_BYTES, Guard
from tests.doubles.serving import free_port, serving

HOST = "127.0.0.1:7070"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
FOREIGN: dict[str, dict[str, str]] = {
    "a foreign Host": {"host": "evil.example"},
    "our address at another port": {"host": "127.0.0.1:8080"},
    "our address without a port": {"host": "127.0.0.1"},
    "a name that begins like ours": {"host": "127.0.0.1:7070.evil.example"},
    "an empty Host": {"host": ""},
    "a foreign Origin": {"origin": "https://evil.example"},
    "a sandboxed page": {"origin": "null"},
    "our host at another port": {"origin": "http://127.0.0.1:3000"},
    "an empty Origin": {"origin": ""},
    "X-Forwarded-Host": {"x-forwarded-host": "evil.example"},
    "X-Forwarded-Host after ours": {"x-forwarded-host": f"{HOST}, evil.example"},
    "X-Original-Host": {"x-original-host": "evil.example"},
    "Forwarded": {"forwarded": "for=1.2.3.4;host=evil.example"},
    "Forwarded in quotes": {"forwarded": f'host={HOST}, for=x; Host="evil.example"'},
}


class App:
    """The app behind the guard: reads its body and counts."""

    def __init__(self) -> None:
        self.requests = 0
        self.app = FastAPI()

        @self.app.api_route("/{path:path}", methods=METHODS)
        async def take(request: Request) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction] - a route
            self.requests += 1
            return {"bytes": len(await request.body())}


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{HOST}")


@pytest.mark.parametrize("body", [b"", b"{}"], ids=["no body", "a body"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN.keys())
async def test_foreign_requests_are_refused_for_every_method(headers: dict[str, str], method: str, body: bytes) -> None:
    app = App()
    async with client(Guard(app.app, {HOST})) as http:
        answer = await http.request(method, "/api/approve", headers=headers, content=body)
    assert (answer.status_code, app.requests) == (403, 0)
    assert answer.text.count("\n") == (method != "HEAD")


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN.keys())
async def test_without_the_guard_every_one_of_them_gets_through(headers: dict[str, str]) -> None:
    app = App()
    async with client(app.app) as http:
        assert (await http.post("/api/approve", headers=headers)).status_code == 200
    assert app.requests == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": f"http://{HOST}"},
        {"x-forwarded-host": HOST},
        {"forwarded": f'for=1.2.3.4;host="{HOST}"'},
        {"forwarded": "for=1.2.3.4"},
    ],
)
async def test_our_own_requests_pass(headers: dict[str, str]) -> None:
    async with client(Guard(App().app, {HOST})) as http:
        assert (await http.post("/x", headers=headers, content=b"abc")).json() == {"bytes": 3}


async def test_two_host_headers_are_refused() -> None:
    sent = await raw(Guard(App().app, {HOST}), "http", [(b"host", HOST.encode()), (b"host", b"evil.example")])
    assert sent[0]["status"] == 403


async def raw(app: Any, kind: str, headers: list[tuple[bytes, bytes]], **scope: Any) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect" if kind == "websocket" else "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": kind, "path": "/ws", "method": "GET", "headers": headers, **scope}, receive, send)
    return sent


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN.keys())
async def test_foreign_websockets_are_refused_before_they_are_accepted(headers: dict[str, str]) -> None:
    reached: list[str] = []

    async def app(*_: Any) -> None:
        reached.append("the app")

    given = [(name.encode(), value.encode()) for name, value in ({"host": HOST} | headers).items()]
    closed = await raw(Guard(app, {HOST}), "websocket", given)
    assert [message["type"] for message in closed] == ["websocket.close"]
    answered = await raw(Guard(app, {HOST}), "websocket", given, extensions={"websocket.http.response": {}})
    assert answered[0]["status"] == 403
    assert reached == []
    await raw(Guard(app, {HOST}), "websocket", [(b"host", HOST.encode()), (b"origin", f"http://{HOST}".encode())])
    assert reached == ["the app"]


async def pieces(count: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


def test_a_body_over_the_limit_is_refused_by_its_length_and_by_counting() -> None:
    app, port = App(), free_port()
    guard = Guard(app.app, {f"127.0.0.1:{port}"}, body_bytes={"/forge/git": 5_000_000})
    with serving(guard, port) as url, httpx.Client() as http:
        declared = http.post(f"{url}/x", content=b"x" * (DEFAULT_BODY_BYTES + 1))
        assert (declared.status_code, app.requests) == (413, 0)
        chunked = http.post(f"{url}/x", content=(b"x" * 100_000 for _ in range(21)))
        assert chunked.status_code == 413
        assert "larger than 2000000 bytes" in chunked.text
        assert http.post(f"{url}/x", content=b"x" * DEFAULT_BODY_BYTES).json() == {"bytes": DEFAULT_BODY_BYTES}
        assert http.post(f"{url}/forge/git/push", content=b"x" * 4_000_000).status_code == 200


async def test_a_content_length_that_is_no_number_is_refused() -> None:
    for length in (b"-1", b"1e9", b"9" * 40, b"\xb2"):
        sent = await raw(Guard(App().app, {HOST}), "http", [(b"host", HOST.encode()), (b"content-length", length)])
        assert sent[0]["status"] == 413


async def test_long_headers_take_linear_time() -> None:
    guard = Guard(App().app, {HOST})
    took: list[float] = []
    for size in (100_000, 1_000_000):
        headers = [
            (b"host", HOST.encode()),
            (b"forwarded", b"for=a;" * (size // 6)),
            (b"x-forwarded-host", b"," * size),
        ]
        began = time.perf_counter()
        assert (await raw(guard, "http", headers))[0]["status"] == 403
        took.append(time.perf_counter() - began)
    assert took[1] < 2
