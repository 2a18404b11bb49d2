"""Photos of ordinary size pass to models; what is too large is refused in the protocol's words, and many at once cost no memory."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from mcp_servers.gateway import body_room, guard
from mcp_servers.gateway.body_room import BodyRoom
from mcp_servers.gateway.chat import IMAGE_TOKENS, ChatRequest
from mcp_servers.gateway.guard import Guard
from mcp_servers.gateway.model_settings import ModelSettings
from policies.models import Economy, ModelsLaw
from tests.doubles.gateway import Office, office
from tests.doubles.provider import Provider
from tests.doubles.serving import free_port, serving

MB = 1_000_000
PHOTO = "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8" + b"p" * 1_500_000).decode()


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def gateway(tmp_path: Path, provider: Provider) -> Generator[Office]:
    with ExitStack() as stack:
        url = stack.enter_context(serving(provider.app()))
        found = stack.enter_context(office(tmp_path, ModelSettings(openai_api_key="sk-test", openai_url=f"{url}/v1")))
        found.world.models_law = ModelsLaw(chains={"standard": ("openai",)}, economy=Economy(chain=None))
        yield found


def looking_at(url: str) -> list[Any]:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": parts}]


@pytest.mark.rows("F43", "F45")
def test_a_photo_of_ordinary_size_passes_and_is_held_as_an_image_and_not_as_text(
    gateway: Office, provider: Provider
) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token()) as client:
        answer = client.chat.completions.create(model="default", messages=looking_at(PHOTO))
    assert answer.choices[0].message.content == "Hello from the provider."
    assert provider.journal[0]["messages"][0]["content"][1]["image_url"]["url"] == PHOTO
    assert gateway.ledger("model.call")[0][4]["held_usd_micro"] < 25_000, (
        "two cents, not the fifty of two million letters"
    )


@pytest.mark.rows("F45")
def test_only_an_images_own_bytes_are_left_out_of_what_is_held() -> None:
    def most(url: str) -> int:
        return ChatRequest(model="default", messages=looking_at(url)).most_tokens_in(1_000_000)

    assert most("data:image/png;base64," + "A" * 900_000) < 100_000 + IMAGE_TOKENS + 2_000
    for text in (
        "A" * 900_000,
        "https://example.invalid/;base64," + "A" * 900_000,
        "data:text/plain;base64," + "A" * 900_000,
    ):
        assert most(text) > 1_000_000 + IMAGE_TOKENS


@pytest.mark.rows("F39")
@pytest.mark.parametrize(
    ("path", "code"), [("/v1/chat/completions", "not_allowed"), ("/mcp", -32050), ("/a2a/x", -32050)]
)
def test_every_refusal_of_the_guard_speaks_the_language_of_its_path(gateway: Office, path: str, code: object) -> None:
    refused = httpx.post(f"{gateway.url}{path}", json={}, headers={"origin": "https://evil.example"})
    assert refused.status_code == 403 and refused.headers["content-type"] == "application/json"
    assert refused.json()["error"]["code"] == code and "other sites" in refused.json()["error"]["message"]


class Held:
    """An app that keeps its body until it is let go, and counts how many bytes it had at once."""

    def __init__(self) -> None:
        self.now = self.most = self.served = 0
        self.seconds = 0.1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = len(await Request(scope, receive).body())
        self.now += size
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.seconds)
        self.now -= size
        self.served += 1
        await JSONResponse({"bytes": size})(scope, receive, send)


def at_once(
    app: Held, count: int, room: BodyRoom, size: int = 3 * MB, *, chunked: bool = False
) -> list[httpx.Response]:
    port = free_port()
    body = bytes(size)

    def post(url: str) -> httpx.Response:
        content: Any = (body[start : start + MB] for start in range(0, size, MB)) if chunked else body
        return httpx.post(f"{url}/v1/x", content=content, timeout=60)

    with (
        serving(Guard(app, {f"127.0.0.1:{port}"}, room=room), port) as url,
        ThreadPoolExecutor(count) as pool,
    ):
        return [one.result() for one in [pool.submit(post, url) for _ in range(count)]]


@pytest.mark.rows("F39", "F54")
@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_wait_outside_until_there_is_room(chunked: bool) -> None:
    app, room = Held(), BodyRoom(50 * MB if chunked else 9 * MB)
    assert {answer.status_code for answer in at_once(app, 12, room, chunked=chunked)} == {200}
    assert app.served == 12 and app.most <= 9 * MB


@pytest.mark.rows("F39", "F54")
def test_who_finds_no_room_in_time_is_told_when_to_come_again() -> None:
    app = Held()
    app.seconds = 1.5
    answers = at_once(app, 4, BodyRoom(6 * MB, wait_seconds=0.3))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert 1 <= len(refused) <= 2 and app.served == 4 - len(refused)
    assert refused[0].json()["error"]["code"] == "overloaded" and refused[0].headers["retry-after"] == "5"
    assert refused[0].headers["x-should-retry"] == "true"


def test_planted_hole_without_room_to_count_all_of_them_are_in_memory_at_once() -> None:
    app = Held()
    app.seconds = 1.0
    at_once(app, 8, BodyRoom(10_000 * MB))
    assert app.most > 9 * MB


@pytest.mark.rows("F39")
def test_a_large_body_that_trickles_gives_its_room_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_S", 0.2)
    app, room, port = Held(), BodyRoom(25 * MB, wait_seconds=5), free_port()

    def slowly() -> Generator[bytes]:
        yield bytes(3 * MB)
        import time

        time.sleep(0.6)
        yield b"more"

    with serving(Guard(app, {f"127.0.0.1:{port}"}, room=room), port) as url:
        late = httpx.post(f"{url}/v1/x", content=slowly(), timeout=10)
        assert late.status_code == 408 and late.json()["error"]["code"] == "request_timeout"
        assert httpx.post(f"{url}/v1/x", content=bytes(24 * MB), timeout=10).status_code == 200


@pytest.mark.rows("F39")
async def test_room_is_given_in_turn_and_never_twice() -> None:
    room, order = BodyRoom(10, wait_seconds=0.2), list[str]()

    async def one(name: str, size: int, seconds: float) -> bool:
        if not await room.enter(size):
            return False
        order.append(name)
        await asyncio.sleep(seconds)
        room.leave(size)
        return True

    first, large = asyncio.ensure_future(one("first", 6, 0.05)), asyncio.ensure_future(one("large", 8, 0.05))
    await asyncio.sleep(0)
    small = asyncio.ensure_future(one("small", 1, 0))
    assert await asyncio.gather(first, large, small) == [True, True, True]
    assert order == ["first", "large", "small"], "a large one is not passed by small ones"
    assert await room.enter(10) and not await room.enter(1)
    waiting = asyncio.ensure_future(room.enter(1))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    room.leave(10)
    assert await room.enter(10), "who went away took nothing along"
    assert body_room.MOST_BYTES >= 4 * guard.MODEL_BODY_BYTES
