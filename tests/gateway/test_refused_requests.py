"""What a provider has against a request reaches the caller in words that its framework knows, and nothing else of the provider's does."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from mcp_servers.gateway import not_accepted
from mcp_servers.gateway.failures import status_failure
from mcp_servers.gateway.model_settings import ModelSettings
from memory import usage
from policies.models import Economy, ModelsLaw
from tests.doubles.gateway import Office, office
from tests.doubles.provider import Provider, Reply
from tests.doubles.serving import serving

KEY = "provider-key-0123456789-without-a-shape"
HELLO: dict[str, Any] = {"model": "default", "messages": [{"role": "user", "content": "Hello"}]}
WINDOW = "This model's maximum context length is 128000 tokens. However, your messages resulted in 140000 tokens."
#: How servers say that a request is too long for their model.
TOO_LONG: dict[str, dict[str, Any]] = {
    "OpenAI": {"error": {"message": WINDOW, "type": "invalid_request_error", "code": "context_length_exceeded"}},
    "vLLM": {"object": "error", "message": WINDOW, "type": "BadRequestError", "param": None, "code": 400},
    "vLLM today": {"error": {"message": WINDOW, "type": "BadRequestError", "param": None, "code": 400}},
    "llama.cpp": {
        "error": {
            "code": 400,
            "message": "the request exceeds the available context size, try increasing it",
            "type": "exceed_context_size_error",
        }
    },
    "Anthropic": {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"},
    },
}


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def gateway(tmp_path: Path, provider: Provider) -> Generator[Office]:
    with ExitStack() as stack:
        url = stack.enter_context(serving(provider.app()))
        settings = ModelSettings(
            openai_api_key=KEY, openai_url=f"{url}/v1", anthropic_api_key="sk-ant-test", anthropic_url=url
        )
        found = stack.enter_context(office(tmp_path, settings))
        found.world.models_law = law("openai")
        yield found


def law(*links: str) -> ModelsLaw:
    return ModelsLaw(chains={"standard": links}, economy=Economy(chain=None))


def refusing(body: object, status: int = 400) -> Reply:
    return Reply(raw=json.dumps(body), status=status)


def ask(gateway: Office, **more: Any) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=HELLO | more, headers=gateway.headers(), timeout=30)


@pytest.mark.rows("F43")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("who", TOO_LONG)
def test_too_long_a_request_is_said_in_openais_word_however_the_server_says_it(
    gateway: Office, provider: Provider, who: str, stream: bool
) -> None:
    gateway.world.models_law = law("anthropic" if who == "Anthropic" else "openai")
    provider.default = refusing(TOO_LONG[who])
    answer = ask(gateway, stream=stream)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (
        400,
        "invalid_request_error",
        "context_length_exceeded",
    )
    assert answer.headers["x-should-retry"] == "false" and len(provider.journal) == 1
    assert gateway.ledger("model.result")[-1][3] == "too_long"
    with gateway.database.read() as session:
        assert usage.total(session).usd_micro == 0, "what was not accepted is free"


@pytest.mark.rows("F43")
@pytest.mark.filterwarnings("ignore")  # what CrewAI warns of while it loads is not ours
def test_langchain_and_crewai_know_by_it_that_they_must_shorten(gateway: Office, provider: Provider) -> None:
    from crewai.utilities.agent_utils import is_context_length_exceeded

    provider.default = refusing(TOO_LONG["OpenAI"])
    model = ChatOpenAI(base_url=f"{gateway.url}/v1", api_key=SecretStr(gateway.token()), model="default", max_retries=0)
    with pytest.raises(ContextOverflowError):
        model.invoke("Hello")
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token(), max_retries=3) as client,
        pytest.raises(openai.BadRequestError) as failure,
    ):
        client.chat.completions.create(**HELLO)
    assert is_context_length_exceeded(failure.value)
    assert len(provider.journal) == 2, "nobody asks the same again"


@pytest.mark.rows("F43")
def test_the_next_link_may_have_a_larger_window_and_answers(gateway: Office, provider: Provider) -> None:
    gateway.world.models_law = law("openai", "anthropic")
    provider.script.append(refusing(TOO_LONG["OpenAI"]))
    answer = ask(gateway)
    assert answer.status_code == 200 and answer.headers["x-elf-chain"].startswith(
        "openai/gpt-5-mini;too_long, anthropic/"
    )
    provider.script.extend([refusing(TOO_LONG["OpenAI"]), Reply(status=503)])
    answer = ask(gateway)
    assert answer.status_code == 400, "the caller can mend the one, and not the other"
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert gateway.gateway.door.till.circuits.alone(gateway.world.now) == {}


@pytest.mark.rows("F43")
@pytest.mark.parametrize("code", sorted(set(not_accepted.CODES) - {not_accepted.TOO_LONG}))
def test_a_known_code_goes_on_and_no_other_link_is_asked(gateway: Office, provider: Provider, code: str) -> None:
    gateway.world.models_law = law("openai", "anthropic")
    provider.default = refusing({"error": {"message": "No.", "type": "invalid_request_error", "code": code}})
    answer = ask(gateway)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code) and len(provider.journal) == 1
    assert not_accepted.CODES[code] in answer.json()["error"]["message"] and "It says: 'No.'" in answer.text


@pytest.mark.rows("F43", "F76")
def test_nothing_of_a_providers_own_text_goes_on_unchecked(gateway: Office, provider: Provider) -> None:
    said = f"You sent {KEY}\x1b[2J\nand sk-{'a' * 40} and password=hunter2hunter2 to us. " + "word " * 1_000
    provider.default = refusing({"error": {"message": said, "code": "<script>", "type": "x"}}, 422)
    answer = ask(gateway)
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["code"] is None
    assert "It says: 'You sent [redacted] [2J and [redacted] and password=[redacted] to us." in error["message"]
    assert len(error["message"]) < 400
    for secret in (KEY, "aaaaaaaa", "hunter2", "\x1b", "<script>"):
        assert secret not in answer.text and secret not in str(gateway.ledger())


@pytest.mark.rows("F43", "F76")
def test_without_knowing_what_the_text_may_hold_of_ours_nothing_of_it_is_repeated() -> None:
    body = json.dumps({"error": {"message": f"You sent {KEY}", "code": "invalid_value"}})
    failed = status_failure("a/b", 400, body)
    assert failed.code == "invalid_value" and KEY not in failed.message and "It says" not in failed.message
    for odd in ("", "[]", "null", '"text"', '{"error": 7}', '{"error": {"code": []}}', "<html>", '[{"error": {}}]'):
        assert status_failure("a/b", 400, odd, [KEY]).kind == "not_accepted"


def test_planted_hole_a_text_that_is_passed_on_as_it_is_shows_our_key(
    gateway: Office, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_it_is(sentence: str, _secrets: object) -> str:
        return sentence

    monkeypatch.setattr(not_accepted, "_safe", as_it_is)
    provider.default = refusing({"error": {"message": f"You sent {KEY}"}})
    assert KEY in ask(gateway).text
