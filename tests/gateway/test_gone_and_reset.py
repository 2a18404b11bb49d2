"""Connections that end where nobody expects it: the provider's in the middle of an answer, the caller's before the first word."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from mcp_servers.gateway import openai_api, openai_provider
from mcp_servers.gateway.chat import ProviderFailed
from mcp_servers.gateway.model_settings import ModelSettings
from memory import budgets, usage
from policies.models import Circuit, Economy, ModelsLaw
from tests.doubles.gateway import Office, office
from tests.doubles.provider import Provider, Reply
from tests.doubles.serving import serving

HELLO: dict[str, Any] = {"model": "default", "messages": [{"role": "user", "content": "Hello"}]}
CHUNK = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def event(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    data = b"data: " + json.dumps(CHUNK | {"choices": [choice]}).encode() + b"\n\n"
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"choices": ['
#: What is sent before the connection is reset.
RESETS = {
    "before a word": b"",
    "after the headers": STREAM,
    "in the middle of a stream": STREAM + event("one ") + event("two "),
    "in the middle of an answer": WHOLE,
}


@contextmanager
def resetting(said: bytes) -> Generator[str]:
    """A server that reads a request, says this, and has the kernel answer with a reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                head = b""
                while b"\r\n\r\n" not in head:
                    head += line.recv(65536)
                line.sendall(said)
                # The reader takes what was sent first: a reset throws away what waits to be read.
                time.sleep(0.2)
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                line.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        listener.shutdown(socket.SHUT_RDWR)


def law() -> ModelsLaw:
    return ModelsLaw(chains={"standard": ("openai",)}, economy=Economy(chain=None), circuit=Circuit(failures=99))


@contextmanager
def company(folder: Path, url: str) -> Generator[Office]:
    with office(folder, ModelSettings(openai_api_key="sk-test", openai_url=url, timeout_seconds=20)) as found:
        found.world.models_law = law()
        yield found


def settled(gateway: Office) -> tuple[int, int]:
    """What was spent, by the usage rows and by the budget alike; and what was held."""
    with gateway.database.read() as session:
        total = usage.total(session).usd_micro
        assert budgets.committed(session, budgets.COMPANY, gateway.world.now) == total
    return total, gateway.ledger("model.call")[-1][4]["held_usd_micro"]


def ask(gateway: Office, **more: Any) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=HELLO | more, headers=gateway.headers(), timeout=30)


@pytest.mark.rows("F43", "F45")
@pytest.mark.parametrize("when", RESETS)
def test_a_connection_that_is_reset_counts_at_its_upper_bound_and_is_never_glued(tmp_path: Path, when: str) -> None:
    with resetting(RESETS[when]) as url, company(tmp_path, url) as gateway:
        answer = ask(gateway, stream="answer" not in when)
        spent, held = settled(gateway)
        assert spent == held > 0, "what the provider did is not known"
        assert gateway.ledger("model.result")[-1][3] == "broken" and len(gateway.ledger("model.result")) == 1
    if when == "in the middle of a stream":
        assert answer.status_code == 200 and '"one "' in answer.text and '"two "' in answer.text
        assert "[DONE]" not in answer.text and '"code":"provider_failed"' in answer.text.splitlines()[-2]
    else:
        assert answer.status_code == 502 and "broke" in answer.json()["error"]["message"]


def test_planted_hole_a_broken_connection_taken_for_free_loses_the_money(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(_self: object, _error: Exception) -> ProviderFailed:
        return ProviderFailed("broke", "broken", free=True)

    monkeypatch.setattr(openai_provider.OpenAIProvider, "_broken", free)
    with resetting(RESETS["in the middle of a stream"]) as url, company(tmp_path, url) as gateway:
        ask(gateway, stream=True)
        assert settled(gateway)[0] == 0 < settled(gateway)[1]


# ---------------------------------------------------------------- callers who hang up


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def gateway(tmp_path: Path, provider: Provider) -> Generator[Office]:
    with ExitStack() as stack:
        url = stack.enter_context(serving(provider.app()))
        yield stack.enter_context(company(tmp_path, f"{url}/v1"))


def until_settled(gateway: Office, seconds: float) -> list[Any]:
    deadline = time.monotonic() + seconds
    while not (rows := gateway.ledger("model.result")) and time.monotonic() < deadline:
        time.sleep(0.02)
    return rows


@pytest.mark.rows("F43", "F45")
@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_who_hangs_up_before_the_first_word_is_settled_at_once_and_the_provider_is_let_go(
    gateway: Office, provider: Provider, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    provider.default = Reply(seconds=15)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{gateway.url}/v1/chat/completions",
            json=HELLO | {"stream": stream},
            headers=gateway.headers(),
            timeout=0.5,
        )
    [row] = until_settled(gateway, 8)
    assert row[3] == "gone" and settled(gateway)[0] == settled(gateway)[1] > 0
    deadline = time.monotonic() + 5
    while not provider.let_go and time.monotonic() < deadline:
        time.sleep(0.02)
    assert provider.let_go == 1, "the provider's connection was ended"
    assert caplog.text == ""


@pytest.mark.rows("F43")
def test_an_impatient_client_has_one_call_at_the_provider_at_a_time(gateway: Office, provider: Provider) -> None:
    provider.default = Reply(seconds=15)
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token(), timeout=0.5, max_retries=1) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        client.chat.completions.create(**HELLO)
    deadline = time.monotonic() + 8
    while len(gateway.ledger("model.result")) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [row[3] for row in gateway.ledger("model.result")] == ["gone", "gone"]
    assert [row[1] for row in gateway.ledger() if row[1].startswith("model.")] == ["model.call", "model.result"] * 2


def test_planted_hole_a_gateway_that_does_not_listen_leaves_the_call_running(
    gateway: Office, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(_request: object, work: Any) -> Any:
        return await work

    monkeypatch.setattr(openai_api, "while_heard", deaf)
    provider.default = Reply(seconds=3)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{gateway.url}/v1/chat/completions", json=HELLO, headers=gateway.headers(), timeout=0.5)
    assert until_settled(gateway, 1) == []
    assert until_settled(gateway, 8)[0][3] == "ok"
