"""Others by an extra: a provider that LangChain knows, by its own package, against a stand-in of that provider's wire."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import tomllib
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from langchain.chat_models import init_chat_model
from langchain_core.exceptions import ModelRateLimitError
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic import BaseModel

from mcp_servers.gateway import anthropic_model, langchain_dialects, langchain_provider
from mcp_servers.gateway.chat import ChatRequest, ProviderFailed
from mcp_servers.gateway.endpoints import Endpoint
from mcp_servers.gateway.langchain_classes import missing_class
from mcp_servers.gateway.langchain_dialects import Dialect
from mcp_servers.gateway.langchain_failures import failure
from mcp_servers.gateway.langchain_provider import LangChainProvider
from mcp_servers.gateway.langchain_reading import ANSWER_TOOL, Reading, answer
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.prices import Tokens
from memory.gateway_tables import UsageRow
from policies.models import Economy, ModelsLaw
from policies.providers import key_variable
from tests.doubles.gateway import Office, office
from tests.doubles.provider import Provider, Reply
from tests.doubles.serving import free_port, serving

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
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
NAME = "mistral/mistral-small-latest"
CHECKOUT = Path(__file__).resolve().parents[2]


class Understanding(BaseModel):
    capability: str
    clear: bool


@dataclass
class Street:
    """A gateway whose chain is `mistral` by LangChain, then `desk`."""

    office: Office
    mistral: Provider
    desk: Provider

    def sdk(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.office.url}/v1", api_key=self.office.token())

    def post(self, **fields: Any) -> httpx.Response:
        body = {"model": "default", "messages": HELLO, **fields}
        return httpx.post(
            f"{self.office.url}/v1/chat/completions", json=body, headers=self.office.headers(), timeout=30
        )

    def rows(self) -> list[tuple[str, str, int, int, int]]:
        with self.office.database.read() as session:
            found = session.query(UsageRow).order_by(UsageRow.id)
            return [(row.model, row.outcome, row.tokens_in, row.tokens_out, row.usd_micro) for row in found]


def law(mistral: str, desk: str) -> ModelsLaw:
    prices = {"mistral-small-latest": {"input": 1, "output": 3}}
    named = {
        "mistral": {
            "langchain": "mistralai",
            "url": mistral,
            "model": "mistral-small-latest",
            "prices": prices,
            "needs_key": True,
        },
        "desk": {"url": desk, "model": "llama"},
    }
    chains, circuit = {"standard": ("mistral", "desk")}, {"failures": 100}
    return ModelsLaw.model_validate(
        {"providers": named, "chains": chains, "economy": Economy(chain=None), "circuit": circuit}
    )


@pytest.fixture
def street(tmp_path: Path) -> Generator[Street]:
    mistral, desk = Provider(), Provider()
    with ExitStack() as stack:
        urls = [stack.enter_context(serving(one.app())) for one in (mistral, desk)]
        settings = ModelSettings(provider_keys={key_variable("mistral"): "k-mistral"}, timeout_seconds=20)
        found = Street(stack.enter_context(office(tmp_path, settings)), mistral, desk)
        found.office.world.models_law = law(f"{urls[0]}/mistral/v1", f"{urls[1]}/v1")
        yield found


# ---------------------------------------------------------------- end to end


@pytest.mark.rows("F04", "F43", "F44")
def test_a_langchain_provider_answers_is_bounded_and_is_paid_for(street: Street) -> None:
    street.mistral.default = Reply(tokens_in=1_000, tokens_out=100)
    found = street.post(max_tokens=50, temperature=0.5, stop="END", seed=7)
    assert found.json()["choices"][0]["message"]["content"] == "Hello from the provider."
    assert found.headers["x-elf-chain"] == f"{NAME};ok"
    [asked] = street.mistral.journal
    assert (asked["model"], asked["max_tokens"], asked["temperature"], asked["stop"]) == (
        "mistral-small-latest",
        50,
        0.5,
        ["END"],
    )
    assert street.mistral.headers[0]["authorization"] == "Bearer k-mistral"
    assert street.rows() == [(NAME, "ok", 1_000, 100, 1_300)]
    assert street.office.ledger("model.call")[0][4]["price"] == "price from policies/models.yaml"


@pytest.mark.rows("F43", "F44")
def test_it_streams_text_and_tool_calls_and_says_what_they_took(street: Street) -> None:
    calls = (("find_team", {"skill": "a"}), ("find_team", {"skill": "b"}))
    street.mistral.script.append(Reply(text="one two", tool_calls=calls))
    options: Any = {"include_usage": True}
    with (
        street.sdk() as client,
        client.chat.completions.stream(
            model="default",
            messages=HELLO,
            tools=[openai.pydantic_function_tool(Understanding)],
            stream_options=options,
        ) as stream,
    ):
        final = stream.get_final_completion()
    made = final.choices[0].message.tool_calls or []
    assert final.choices[0].message.content == "onetwo"
    assert [json.loads(call.function.arguments) for call in made] == [{"skill": "a"}, {"skill": "b"}]
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.usage is not None and (final.usage.prompt_tokens, final.usage.completion_tokens) == (11, 7)
    assert street.rows() == [(NAME, "ok", 11, 7, 32)] and len(street.mistral.journal) == 1


def test_tools_go_and_come_in_both_directions(street: Street) -> None:
    street.mistral.script.append(Reply(text=None, tool_calls=(("find_team", {"skill": "a"}),)))
    with street.sdk() as client:
        first = client.chat.completions.create(
            model="default", messages=HELLO, tools=TOOLS, tool_choice="required", parallel_tool_calls=False
        )
        message = first.choices[0].message
        call = (message.tool_calls or [])[0]
        results: list[Any] = [{"role": "tool", "tool_call_id": call.id, "content": "none"}]
        follow: list[Any] = [*HELLO, message.model_dump(exclude_none=True), *results]
        last = client.chat.completions.create(model="default", messages=follow, tools=TOOLS, tool_choice="none")
    assert call.type == "function" and json.loads(call.function.arguments) == {"skill": "a"}
    assert first.choices[0].finish_reason == "tool_calls"
    assert last.choices[0].message.content == "Hello from the provider."
    asked, again = street.mistral.journal
    assert (asked["tool_choice"], asked["parallel_tool_calls"]) == ("any", False)
    assert asked["tools"][0]["function"]["name"] == "find_team"
    assert [turn["role"] for turn in again["messages"]] == ["user", "assistant", "tool"] and "tools" not in again


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", [None, Dialect()])
def test_an_answer_in_a_wanted_form_is_asked_for_as_the_class_can(
    street: Street, monkeypatch: pytest.MonkeyPatch, stream: bool, dialect: Dialect | None
) -> None:
    """By OpenAI's field where a class is known to take it; else as the one tool to call, which nobody outside sees."""
    said: dict[str, Any] = {"capability": "marketing", "clear": True}
    if dialect is None:
        street.mistral.script.append(Reply(text=json.dumps(said, separators=(",", ":"))))
    else:
        monkeypatch.setattr(langchain_dialects, "DIALECTS", {**langchain_dialects.DIALECTS, "mistralai": dialect})
        street.mistral.script.append(Reply(text=None, tool_calls=((ANSWER_TOOL, said),)))
    schema = {"name": "understanding", "schema": Understanding.model_json_schema(), "strict": True}
    fields: dict[str, Any] = {"response_format": {"type": "json_schema", "json_schema": schema}}
    with street.sdk() as client:
        if stream:
            parts = list(client.chat.completions.create(model="default", messages=HELLO, stream=True, **fields))
            content = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
            ended = [part.choices[0].finish_reason for part in parts if part.choices][-1]
            assert not any(part.choices[0].delta.tool_calls for part in parts if part.choices)
        else:
            choice = client.chat.completions.create(model="default", messages=HELLO, **fields).choices[0]
            content, ended = choice.message.content or "", choice.finish_reason
            assert not choice.message.tool_calls
    assert Understanding.model_validate_json(content) == Understanding(**said) and ended == "stop"
    [asked] = street.mistral.journal
    if dialect is None:
        assert asked["response_format"]["json_schema"]["schema"]["required"] == ["capability", "clear"]
    else:
        assert asked["tools"][0]["function"]["parameters"]["required"] == ["capability", "clear"]
        assert asked["tool_choice"] == "any"


FAILURES: dict[str, tuple[Reply, str]] = {
    "an outage": (Reply(status=503), "outage"),
    "a rate limit": (Reply(status=429), "rate_limit"),
    "no money there": (Reply(raw='{"error": {"code": "insufficient_quota"}}', status=429), "quota"),
    "a wrong key": (Reply(status=401), "key_refused"),
    "an unknown model": (Reply(status=404), "no_such_model"),
    "HTML with 200": (Reply(raw="<html>It works!</html>"), "malformed"),
    "an empty object": (Reply(raw="{}"), "malformed"),
}


@pytest.mark.rows("F43")
@pytest.mark.parametrize("stream", [False, True])
def test_when_it_fails_the_next_link_answers_and_it_was_asked_once(street: Street, stream: bool) -> None:
    for name, (reply, why) in FAILURES.items():
        street.mistral.default = reply
        street.mistral.journal.clear()
        found = street.post(stream=stream)
        # What is no stream at all is to its client a connection that went wrong.
        why = "broken" if stream and why == "malformed" else why
        assert found.status_code == 200 and "Hello" in found.text, name
        assert found.headers["x-elf-chain"] == f"{NAME};{why}, desk/llama;ok", name
        assert len(street.mistral.journal) == 1, name


def test_a_stream_that_breaks_is_reported_as_broken_and_never_glued(street: Street) -> None:
    street.mistral.default = Reply(text="one two three", break_after=3)
    with street.sdk() as client, pytest.raises(openai.APIError, match="in the middle"):
        for _ in client.chat.completions.create(model="default", messages=HELLO, stream=True):
            pass
    assert street.rows()[0][1] == "broken" and street.rows()[0][4] > 0, "what it cost is unknown: the upper bound"
    assert street.desk.journal == []


def test_a_request_that_it_does_not_accept_is_nobody_else_s(street: Street) -> None:
    street.mistral.default = Reply(status=422)
    assert street.post().status_code == 502 and street.desk.journal == []


async def test_one_that_is_not_there_costs_nothing() -> None:
    endpoint = Endpoint("mistral", "m", f"http://127.0.0.1:{free_port()}/v1", "k", "mistralai")
    provider = LangChainProvider(endpoint, "m", "mistral/m", 20)
    with pytest.raises(ProviderFailed, match="cannot be reached") as failed:
        await provider.answer(ChatRequest(model="x", messages=HELLO), "")
    await provider.close()
    assert failed.value.free and failed.value.kind == "unreachable"


# ---------------------------------------------------------------- one try, and no other key


@pytest.mark.rows("F43")
async def test_a_class_that_would_try_again_is_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider(default=Reply(status=503))

    async def asked() -> int:
        provider.journal.clear()
        with serving(provider.app()) as url:
            one = LangChainProvider(
                Endpoint("anthropic", "m", url, "k", "anthropic"), "claude-x", "anthropic/claude-x", 20
            )
            with pytest.raises(ProviderFailed, match="is failing"):
                await one.answer(ChatRequest(model="x", messages=HELLO), "")
            await one.close()
        return len(provider.journal)

    assert await asked() == 1
    # The hole, planted: its SDK's own retries.
    retrying = dataclasses.replace(anthropic_model.ANTHROPIC, once={"max_retries": 1})
    monkeypatch.setattr(anthropic_model, "ANTHROPIC", retrying)
    assert await asked() == 2


class Headstrong(FakeListChatModel):
    """A class without a setting for retries."""

    max_tokens: int | None = None


@pytest.mark.parametrize("lacks", ["max_retries", "max_tokens"])
async def test_a_class_that_cannot_be_kept_to_one_try_or_to_a_bound_is_not_used(
    monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    kind = Headstrong if lacks == "max_retries" else FakeListChatModel

    def found(_name: str) -> type[FakeListChatModel]:
        return kind

    monkeypatch.setattr(langchain_provider, "chat_model_class", found)
    monkeypatch.setattr(langchain_dialects, "DIALECTS", {"ibm": Dialect(once={})} if lacks == "max_tokens" else {})
    provider = LangChainProvider(Endpoint("big", "m", None, None, "ibm"), "m", "big/m", 20)
    with pytest.raises(ProviderFailed, match=f"has no setting {lacks}") as failed:
        await provider.answer(ChatRequest(model="x", messages=HELLO), "")
    assert failed.value.free


@pytest.mark.rows("F76")
async def test_no_key_that_a_class_finds_by_itself_goes_to_an_address_of_the_law(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "k-ambient")
    provider = Provider()
    with serving(provider.app()) as url:
        endpoint = Endpoint("mistral", "m", f"{url}/mistral/v1", None, "mistralai")
        one = LangChainProvider(endpoint, "m", "mistral/m", 20)
        await one.answer(ChatRequest(model="x", messages=HELLO), "")
        await one.close()
        assert provider.headers[0]["authorization"] == "Bearer none"
        # The hole, planted: the class is left to itself.
        loose: Any = init_chat_model("m", model_provider="mistralai", base_url=endpoint.url)
        await loose.ainvoke("Hello")
        await loose.async_client.aclose()
        loose.client.close()
    assert provider.headers[1]["authorization"] == "Bearer k-ambient"


async def test_what_a_class_says_of_its_settings_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(*_: Any) -> Any:
        raise ValueError("the key k-secret is malformed")

    monkeypatch.setattr(langchain_provider, "make", make)
    provider = LangChainProvider(Endpoint("big", "m", None, "k-secret", "mistralai"), "m", "big/m", 20)
    with pytest.raises(ProviderFailed, match="does not take its settings") as failed:
        await provider.answer(ChatRequest(model="x", messages=HELLO), "")
    assert "k-secret" not in str(failed.value) and "k-secret" not in repr(provider)


# ---------------------------------------------------------------- LangChain's own table


@pytest.mark.rows("F43")
def test_what_is_said_to_be_missing_is_what_langchain_itself_misses() -> None:
    assert missing_class("mistralai") is None and missing_class("anthropic") is None
    known = (missing_class("os.system") or "").partition("it knows ")[2].split(", ")
    missing = {name: said for name in known if (said := missing_class(name))}
    assert len(missing) > 5, "an extra or two may be installed"
    for name, said in missing.items():
        with pytest.raises(ImportError) as missed:
            init_chat_model("m", model_provider=name)
        package = str(missed.value).partition("requires the ")[2].partition(" package")[0]
        assert package and f"the package {package} is not installed" in said
    with pytest.raises(ValueError, match="Unsupported"):
        init_chat_model("m", model_provider="os.system")
    assert "LangChain knows no provider 'os.system'" in (missing_class("os.system") or "")


def test_the_extras_of_the_project_are_packages_that_langchain_asks_for() -> None:
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    known = {"groq": "groq", "ollama": "ollama", "google": "google_genai", "aws": "bedrock_converse"}
    for extra, name in known.items():
        said, [wanted] = missing_class(name), extras[extra]
        package = wanted.partition(">=")[0]
        assert said is None or (f"the package {package} is not installed" in said and wanted in said)
    assert extras["mistral"] == ["langchain-mistralai"] and missing_class("mistralai") is None


# ---------------------------------------------------------------- what packages say in ways of their own


class Carrying(Exception):
    """An exception with whatever a package hangs on its own."""

    def __init__(self, **carried: Any) -> None:
        super().__init__("no")
        vars(self).update(carried)


class ReadTimeoutError(Exception):
    pass


class EndpointConnectionError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Carrying(code=429), "rate_limit"),
        (Carrying(status_code=401), "key_refused"),
        (Carrying(response={"ResponseMetadata": {"HTTPStatusCode": 503}}), "outage"),
        (Carrying(status_code=429, body="insufficient_quota"), "quota"),
        (Carrying(status_code=200), "outage"),
        (Carrying(code="context_length"), "malformed"),
        (ModelRateLimitError(), "rate_limit"),
        (ReadTimeoutError(), "timeout"),
        (EndpointConnectionError(), "unreachable"),
        (ConnectionResetError(), "broken"),
        (httpx.ReadError("x"), "broken"),
        (KeyError("choices"), "malformed"),
        (Carrying(), "malformed"),
    ],
)
def test_exceptions_are_understood_by_what_they_carry(error: Exception, kind: str) -> None:
    assert failure("x/y", error).kind == kind
    wrapped = RuntimeError("wrapped")
    wrapped.__cause__ = error
    assert failure("x/y", wrapped).kind == kind


def test_counts_of_a_stream_add_up_and_a_whole_message_is_a_stream_too() -> None:
    def used(given: int, made: int) -> Any:
        return {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}

    read = Reading()
    read.piece(AIMessageChunk(content="a", usage_metadata=used(5, 1)))
    read.piece(AIMessageChunk(content="b", usage_metadata=used(0, 2), response_metadata={"stopReason": "MAX_TOKENS"}))
    last = read.last()
    assert last is not None and (last.tokens, last.finish_reason) == (Tokens(5, 3), "length")
    whole = AIMessage(
        "c",
        tool_calls=[{"id": "1", "name": "f", "args": {}}, {"id": "2", "name": "g", "args": {}}],
        response_metadata={"done_reason": "stop"},
    )
    read = Reading()
    piece = read.piece(whole)
    assert piece is not None and [call["function"]["name"] for call in piece.delta["tool_calls"]] == ["f", "g"]
    last = read.last()
    assert last is not None and (last.finish_reason, last.tokens) == ("tool_calls", None)
    with pytest.raises(ValueError, match="why it ended"):
        answer(AIMessage("half"))


async def test_many_at_once_make_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real = langchain_provider.make

    def counting(*given: Any) -> Any:
        made.append(1)
        return real(*given)

    monkeypatch.setattr(langchain_provider, "make", counting)
    provider = Provider()
    with serving(provider.app()) as url:
        one = LangChainProvider(Endpoint("m", "m", f"{url}/mistral/v1", "k", "mistralai"), "m", "m/m", 20)
        request = ChatRequest(model="x", messages=HELLO)
        await asyncio.gather(*(one.answer(request, "") for _ in range(8)))
        await one.close()
    assert made == [1] and len(provider.journal) == 8
