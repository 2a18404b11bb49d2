"""Any OpenAI-compatible server, OpenAI and Anthropic behind the door: real clients, a wire-compatible server, no patching."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.models import Models
from mcp_servers.gateway.prices import Link
from memory import budgets, usage
from policies.budgets import Budgets
from policies.models import Circuit, ModelsLaw
from tests.doubles.gateway import Office, office
from tests.doubles.provider import Provider, Reply
from tests.doubles.serving import free_port, serving

TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "find_team",
            "description": "Finds a team.",
            "parameters": {"type": "object", "properties": {"skill": {"type": "string"}}, "required": ["skill"]},
        },
    }
]
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]


class Understanding(BaseModel):
    capability: str
    clear: bool


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def start(tmp_path: Path, provider: Provider) -> Generator[Any]:
    """Starts a gateway whose `local` (or other) provider is the stand-in."""
    with ExitStack() as stack:
        url = stack.enter_context(serving(provider.app()))

        def starting(**settings: Any) -> Office:
            chosen: dict[str, Any] = {"base_url": f"{url}/v1", "base_url_model": "llama", **settings}
            for key in ("openai_url", "anthropic_url"):
                if settings.get(key) == "stand-in":
                    chosen |= {key: f"{url}/v1" if key == "openai_url" else url, "base_url": None}
            return stack.enter_context(office(tmp_path, ModelSettings(**chosen)))

        yield starting


@pytest.fixture
def gateway(start: Any) -> Office:
    return start()


def sdk(gateway: Office, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token(), **options)


def committed(gateway: Office) -> int:
    with gateway.database.read() as session:
        return budgets.committed(session, "team:marketing-team", gateway.world.now)


def spent(gateway: Office) -> usage.Total:
    with gateway.database.read() as session:
        return usage.total(session)


@pytest.mark.rows("F43", "F44")
def test_the_server_at_the_base_url_answers_default_and_is_named(gateway: Office, provider: Provider) -> None:
    with sdk(gateway) as client:
        answer = client.chat.completions.create(
            model="default", messages=HELLO, max_tokens=50, temperature=0.5, stop=["END"]
        )
    assert (answer.choices[0].message.content, answer.model) == ("Hello from the provider.", "local/llama")
    [asked] = provider.journal
    assert asked["model"] == "llama" and asked["messages"] == HELLO
    assert (asked["max_tokens"], asked["temperature"], asked["stop"]) == (50, 0.5, ["END"])
    assert spent(gateway) == usage.Total(1, 11, 7, 0)
    assert gateway.ledger("model.call")[0][4]["price"] == "own hardware: 0"
    assert "marketing-team" not in json.dumps(provider.headers), "the member's token stays here"


def test_tool_calls_go_and_come_in_both_directions(gateway: Office, provider: Provider) -> None:
    provider.script.append(Reply(text=None, tool_calls=(("find_team", {"skill": "a"}), ("find_team", {"skill": "b"}))))
    with sdk(gateway) as client:
        first = client.chat.completions.create(
            model="default", messages=HELLO, tools=TOOLS, tool_choice="required", parallel_tool_calls=True
        )
        message = first.choices[0].message
        assert first.choices[0].finish_reason == "tool_calls" and message.tool_calls
        calls = [call for call in message.tool_calls if call.type == "function"]
        assert [json.loads(call.function.arguments) for call in calls] == [{"skill": "a"}, {"skill": "b"}]
        results: list[Any] = [{"role": "tool", "tool_call_id": call.id, "content": "none"} for call in calls]
        follow: list[Any] = [*HELLO, message.model_dump(exclude_none=True), *results]
        last = client.chat.completions.create(model="default", messages=follow, tools=TOOLS)
    assert last.choices[0].message.content == "Hello from the provider."
    asked, again = provider.journal
    assert (asked["tools"], asked["tool_choice"], asked["parallel_tool_calls"]) == (TOOLS, "required", True)
    assert [turn["role"] for turn in again["messages"]] == ["user", "assistant", "tool", "tool"]
    assert again["messages"][1]["tool_calls"][1]["id"] == calls[1].id == again["messages"][3]["tool_call_id"]


def test_structured_output_reaches_the_provider_as_a_schema_and_comes_back_parsed(
    gateway: Office, provider: Provider
) -> None:
    provider.script.append(Reply(text='{"capability": "marketing", "clear": true}'))
    with sdk(gateway) as client:
        answer = client.chat.completions.parse(
            model="default",
            messages=HELLO,
            tools=[openai.pydantic_function_tool(Understanding)],
            response_format=Understanding,
        )
    assert answer.choices[0].message.parsed == Understanding(capability="marketing", clear=True)
    sent = provider.journal[0]["response_format"]
    assert sent["type"] == "json_schema" and sent["json_schema"]["strict"] is True
    assert set(sent["json_schema"]["schema"]["properties"]) == {"capability", "clear"}


def test_json_objects_and_tools_that_are_not_strict_pass_together(gateway: Office, provider: Provider) -> None:
    provider.script.append(Reply(text="{}"))
    with sdk(gateway) as client:
        client.chat.completions.create(
            model="default", messages=HELLO, tools=TOOLS, response_format={"type": "json_object"}
        )
    assert provider.journal[0]["response_format"] == {"type": "json_object"}


def test_a_stream_with_text_tool_calls_and_usage(gateway: Office, provider: Provider) -> None:
    provider.script.append(
        Reply(text="one two", tool_calls=(("find_team", {"skill": "a"}), ("find_team", {"skill": "b"})))
    )
    with (
        sdk(gateway) as client,
        client.chat.completions.stream(
            model="default", messages=HELLO, stream_options={"include_usage": True}
        ) as stream,
    ):
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls or []
    assert final.choices[0].message.content == "onetwo"
    assert [json.loads(call.function.arguments) for call in calls] == [{"skill": "a"}, {"skill": "b"}]
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.usage is not None and final.usage.prompt_tokens == 11
    assert spent(gateway) == usage.Total(1, 11, 7, 0)


FAILURES: dict[str, tuple[Reply, str, str]] = {
    "a wrong key": (Reply(status=401), "key_refused", "refuses our key"),
    "a rate limit": (Reply(status=429), "rate_limit", "quota or rate limit"),
    "no money there": (Reply(raw='{"error": {"code": "insufficient_quota"}}', status=429), "quota", "top it up"),
    "an unknown model": (Reply(status=404), "no_such_model", "does not know that model"),
    "a request it dislikes": (Reply(status=422), "not_accepted", "does not accept the request"),
    "an outage": (Reply(status=503), "outage", "is failing"),
    "HTML with 200": (Reply(raw="<html>It works!</html>"), "malformed", "does not follow its own format"),
    "an empty object": (Reply(raw="{}"), "malformed", "does not follow its own format"),
    "no choices": (Reply(raw='{"choices": []}'), "malformed", "does not follow its own format"),
}


@pytest.mark.rows("F43")
@pytest.mark.parametrize("stream", [False, True])
def test_a_failing_provider_is_asked_once_and_nothing_stands_in_for_it(
    gateway: Office, provider: Provider, stream: bool
) -> None:
    gateway.world.models_law = ModelsLaw(circuit=Circuit(failures=100))
    for name, (reply, outcome, says) in FAILURES.items():
        provider.default = reply
        provider.journal.clear()
        with sdk(gateway) as client, pytest.raises(openai.APIStatusError) as failure:
            client.chat.completions.create(model="default", messages=HELLO, stream=stream)
        assert failure.value.status_code == (400 if outcome == "not_accepted" else 502), name
        assert says in failure.value.message, name
        assert len(provider.journal) == 1, name
        assert gateway.ledger("model.result")[-1][3] == outcome, name
    assert gateway.world.rehearsed == [], "the rehearsal model never stands in silently"


def test_a_stream_that_breaks_is_reported_as_broken_and_never_glued(start: Any, provider: Provider) -> None:
    gateway = start(openai_url="stand-in", openai_api_key="sk-test")
    provider.default = Reply(text="one two three", break_after=3)
    with sdk(gateway) as client, pytest.raises(openai.APIError, match="in the middle"):
        for _ in client.chat.completions.create(model="default", messages=HELLO, stream=True):
            pass
    assert gateway.ledger("model.result")[0][3] == "broken"
    assert spent(gateway).usd_micro == committed(gateway) > 0, "what it cost is unknown, so the upper bound counts"


def test_a_client_that_goes_away_is_settled_at_once(start: Any, provider: Provider) -> None:
    gateway = start(openai_url="stand-in", openai_api_key="sk-test")
    provider.default = Reply(text="word " * 1_000, seconds_between=0.01)
    body = {"model": "default", "messages": HELLO, "stream": True}
    with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body, headers=gateway.headers()) as answer:
        next(answer.iter_bytes())
    deadline = time.monotonic() + 5
    while not (rows := gateway.ledger("model.result")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [row[3] for row in rows] == ["gone"]
    assert spent(gateway).usd_micro == committed(gateway) > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_hangs_ends_in_a_timeout(start: Any, provider: Provider, stream: bool) -> None:
    gateway = start(timeout_seconds=0.3)
    provider.default = Reply(seconds=1.5)
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        json={"model": "default", "messages": HELLO, "stream": stream},
        headers=gateway.headers(),
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
    assert gateway.ledger("model.result")[0][3] == "timeout"


def test_a_provider_that_is_not_there_costs_nothing(start: Any) -> None:
    gateway = start(openai_url=f"http://127.0.0.1:{free_port()}/v1", openai_api_key="sk-test", base_url=None)
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions", json={"model": "default", "messages": HELLO}, headers=gateway.headers()
    )
    assert answer.status_code == 502 and "cannot be reached" in answer.json()["error"]["message"]
    assert (committed(gateway), spent(gateway).usd_micro) == (0, 0)


@pytest.mark.rows("F45")
def test_usage_that_cannot_be_true_is_charged_at_the_upper_bound(start: Any, provider: Provider) -> None:
    gateway = start(openai_url="stand-in", openai_api_key="sk-test")
    untrue = (
        Reply(without_usage=True),
        Reply(tokens_in=0, tokens_out=0),
        Reply(tokens_in=-5),
        Reply(tokens_in=1.5),
        Reply(tokens_in=float("nan")),
    )
    provider.script.extend(untrue)
    body = {"model": "default", "messages": HELLO}
    for _ in untrue:
        httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=gateway.headers())
    held = gateway.ledger("model.call")[0][4]["held_usd_micro"]
    assert spent(gateway).usd_micro == committed(gateway) == len(untrue) * held > 5_000


@pytest.mark.rows("F44", "F45")
def test_a_paid_call_holds_its_upper_bound_and_is_settled_at_its_price(start: Any, provider: Provider) -> None:
    gateway = start(openai_url="stand-in", openai_api_key="sk-test")
    provider.default = Reply(tokens_in=1_000, tokens_out=1_000)
    with sdk(gateway) as client:
        client.chat.completions.create(model="default", messages=HELLO, max_tokens=2_000)
    assert provider.journal[0]["max_completion_tokens"] == 2_000
    assert committed(gateway) == spent(gateway).usd_micro == 2_250
    assert gateway.ledger("model.call")[0][4]["held_usd_micro"] > 2_250
    gateway.world.budgets = Budgets.model_validate({"team_usd_day": "0.004"})
    with sdk(gateway) as client, pytest.raises(openai.APIStatusError, match="may cost up to"):
        client.chat.completions.create(model="default", messages=HELLO, max_tokens=2_000)
    assert len(provider.journal) == 1


@pytest.mark.rows("L4")
def test_a_model_without_a_price_is_neither_listed_nor_called(start: Any, provider: Provider) -> None:
    gateway = start(openai_url="stand-in", openai_api_key="sk-test", openai_model="gpt-unheard-of")
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions", json={"model": "default", "messages": HELLO}, headers=gateway.headers()
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "price_unknown")
    assert provider.journal == [] and committed(gateway) == 0
    assert httpx.get(f"{gateway.url}/v1/models", headers=gateway.headers()).json()["data"] == []


@pytest.mark.rows("F04", "F43")
def test_anthropics_wire_with_tools_and_structured_output(start: Any, provider: Provider) -> None:
    gateway = start(anthropic_url="stand-in", anthropic_api_key="sk-ant-test")
    provider.script.append(Reply(text="Let me see.", tool_calls=(("find_team", {"skill": "a"}),)))
    messages: list[Any] = [{"role": "system", "content": "You are terse."}, *HELLO]
    with sdk(gateway) as client:
        answer = client.chat.completions.create(model="default", messages=messages, tools=TOOLS, tool_choice="required")
        provider.script.append(Reply(text='{"capability": "x", "clear": false}'))
        client.chat.completions.parse(model="default", messages=HELLO, response_format=Understanding)
    call = (answer.choices[0].message.tool_calls or [])[0]
    assert call.type == "function" and json.loads(call.function.arguments) == {"skill": "a"}
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Let me see.", "tool_calls")
    asked, structured = provider.journal
    assert asked["system"] == "You are terse." and asked["tool_choice"] == {"type": "any"}
    assert asked["tools"][0]["name"] == "find_team" and asked["max_tokens"] == 4096
    assert structured["output_config"]["format"]["type"] == "json_schema"
    assert provider.headers[0]["authorization"] == "Bearer sk-ant-test"
    assert spent(gateway).usd_micro == 2 * (11 * 2 + 7 * 10)


def test_default_is_the_chain_s_first_link_that_is_configured() -> None:
    def default(**settings: Any) -> Link:
        return Models(ModelSettings(**settings), lambda _: {}).default

    both: dict[str, Any] = {"openai_api_key": "a", "anthropic_api_key": "b"}
    assert default() == Link("rehearsal", "rehearsal")
    assert default(openai_api_key="a").provider == "openai"
    assert default(**both).provider == "anthropic"
    assert default(**both, base_url="http://127.0.0.1:1/v1", base_url_model="m") == Link("local", "m")


@pytest.mark.rows("F76")
def test_keys_are_never_shown() -> None:
    shown = repr(ModelSettings(openai_api_key="sk-1", anthropic_api_key="sk-2", base_url_api_key="sk-3"))
    assert "sk-" not in shown
