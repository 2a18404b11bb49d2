"""Streams of both wires, over real HTTP to stand-ins of their servers: each end is typed, written down, and its money settled."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from mcp_servers.gateway import crossing
from mcp_servers.gateway.model_settings import ModelSettings
from memory import budgets, usage
from policies.models import Economy, ModelsLaw
from tests.doubles.gateway import Office, office
from tests.doubles.provider import Provider, Reply
from tests.doubles.serving import serving

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
PARAMETERS = {"type": "object", "properties": {"skill": {"type": "string"}}}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "find_team", "parameters": PARAMETERS}}]
#: Micro-dollars for a token in and a token out.
RATES = {"anthropic": (2, 10), "openai": (0.25, 2)}


@dataclass
class Wire:
    """A gateway whose one chain is one provider of this wire."""

    name: str
    gateway: Office
    provider: Provider

    def sdk(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.gateway.url}/v1", api_key=self.gateway.token())

    def raw(self) -> tuple[list[dict[str, Any]], bool]:
        """The events of a stream, and whether it says that it is complete."""
        body = {"model": "default", "messages": HELLO, "stream": True, "stream_options": {"include_usage": True}}
        answer = httpx.post(
            f"{self.gateway.url}/v1/chat/completions", json=body, headers=self.gateway.headers(), timeout=30
        )
        if answer.status_code != 200:
            return [answer.json()], False
        lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
        return [json.loads(line) for line in lines if line != "[DONE]"], "[DONE]" in lines

    def spent(self) -> usage.Total:
        """From the usage rows; that the budget has the same, and that nothing is held, is checked on the way."""
        with self.gateway.database.read() as session:
            total = usage.total(session)
            assert budgets.committed(session, budgets.COMPANY, self.gateway.world.now) == total.usd_micro
        return total

    def held(self) -> int:
        return self.gateway.ledger("model.call")[-1][4]["held_usd_micro"]

    def price(self, tokens_in: int, tokens_out: int) -> int:
        each_in, each_out = RATES[self.name]
        return -int(-(tokens_in * each_in + tokens_out * each_out) // 1)


@pytest.fixture(params=["anthropic", "openai"])
def wire(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Wire]:
    name, provider = str(request.param), Provider()
    with ExitStack() as stack:
        url = stack.enter_context(serving(provider.app()))
        keys: dict[str, Any] = {
            f"{name}_api_key": "sk-test",
            f"{name}_url": url if name == "anthropic" else f"{url}/v1",
        }
        gateway = stack.enter_context(office(tmp_path, ModelSettings(**keys, timeout_seconds=20)))
        gateway.world.models_law = ModelsLaw(chains={"standard": (name,)}, economy=Economy(chain=None))
        yield Wire(name, gateway, provider)


@pytest.mark.rows("F43", "F44")
def test_text_and_parallel_tool_calls_come_in_parts_with_the_usage_that_is_paid(wire: Wire) -> None:
    calls = (("find_team", {"skill": "sales"}), ("find_team", {"skill": "law"}))
    wire.provider.default = Reply(text="Let me see.", tool_calls=calls, tokens_in=1_000, tokens_out=200)
    with (
        wire.sdk() as client,
        client.chat.completions.stream(
            model="default", messages=HELLO, tools=TOOLS, stream_options={"include_usage": True}
        ) as stream,
    ):
        final = stream.get_final_completion()
    [choice] = final.choices
    made = choice.message.tool_calls or []
    assert (choice.message.content, choice.finish_reason) == ("Letmesee.", "tool_calls")
    assert [json.loads(call.function.arguments) for call in made] == [{"skill": "sales"}, {"skill": "law"}]
    assert len({call.id for call in made}) == 2
    assert final.usage is not None
    assert (final.usage.prompt_tokens, final.usage.completion_tokens) == (1_000, 200)
    assert wire.spent() == usage.Total(1, 1_000, 200, wire.price(1_000, 200))
    assert [row[3] for row in wire.gateway.ledger("model.result")] == ["ok"]


@pytest.mark.rows("F43")
@pytest.mark.parametrize(
    ("said", "means"), [("end_turn", "stop"), ("max_tokens", "length"), ("refusal", "content_filter")]
)
def test_why_it_ended_is_said_in_the_callers_words(wire: Wire, said: str, means: str) -> None:
    wire.provider.default = Reply(finish=said)
    events, done = wire.raw()
    assert [one["choices"][0]["finish_reason"] for one in events if one.get("choices")][-1] == means and done


#: What happens in mid-stream -> the outcome in usage and ledger, the error's code, and words of its sentence.
TROUBLES: dict[str, tuple[Reply, str, str, str]] = {
    "it breaks off": (Reply(text="one two three four five", break_after=4), "broken", "provider_failed", "ask again"),
    "it says an error": (Reply(text="one two three four five", error_after=4), "", "provider_failed", ""),
    "it hangs": (Reply(text="one two three four five", hang_after=4), "timeout", "timeout", "did not answer in time"),
}


@pytest.mark.rows("F43", "F45")
@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_in_mid_stream_is_a_typed_error_paid_at_the_upper_bound_and_never_glued(
    wire: Wire, trouble: str
) -> None:
    reply, outcome, code, says = TROUBLES[trouble]
    wire.gateway.world.models_law = wire.gateway.world.models_law.model_copy(update={"deadline_seconds": 1.5})
    wire.provider.default = reply
    began = time.monotonic()
    events, done = wire.raw()
    assert time.monotonic() - began < 6
    assert not done, "what is not complete does not say so"
    error = events[-1]["error"]
    assert error["code"] == code and says in error["message"] and len(events) > 1
    assert len(wire.provider.journal) == 1
    [result] = wire.gateway.ledger("model.result")
    assert result[3] == (outcome or ("broken" if wire.name == "anthropic" else "malformed"))
    assert wire.spent().usd_micro == wire.held() > 0, "what it took is unknown, so nothing is given back"


@pytest.mark.rows("F43", "F45")
@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_before_the_first_word_is_an_ordinary_error_answer(wire: Wire, trouble: str) -> None:
    reply = {
        "it breaks off": Reply(break_after=0),
        "it says an error": Reply(error_after=0),
        "it hangs": Reply(hang_after=0),
    }
    wire.gateway.world.models_law = wire.gateway.world.models_law.model_copy(update={"deadline_seconds": 1.5})
    wire.provider.default = reply[trouble]
    [answer], _ = wire.raw()
    assert answer["error"]["code"] == ("timeout" if trouble == "it hangs" else "provider_failed")
    assert [row[3] for row in wire.gateway.ledger("model.result")] != ["ok"]
    assert wire.spent().usd_micro == wire.held()


@pytest.mark.rows("F45")
def test_a_stream_without_credible_usage_costs_its_upper_bound(wire: Wire) -> None:
    wire.provider.script.extend([Reply(tokens_in=0, tokens_out=0), Reply(tokens_in=-3), Reply(without_usage=True)])
    for _ in range(2):
        assert wire.raw()[1]
    assert wire.spent().usd_micro == 2 * wire.held()
    assert [row[3] for row in wire.gateway.ledger("model.result")] == ["unmetered"] * 2


@pytest.mark.rows("F44", "F45")
@pytest.mark.parametrize("wire", ["anthropic"], indirect=True)
def test_tokens_that_were_written_to_a_cache_are_paid_as_such_however_they_are_said(wire: Wire) -> None:
    written: list[dict[str, Any]] = [
        {"cache_creation_input_tokens": 1_000},
        {"cache_creation_input_tokens": 1_000, "cache_creation": {"ephemeral_5m_input_tokens": 1_000}},
    ]
    costs: list[int] = []
    for more in written:
        wire.provider.default = Reply(tokens_in=100, tokens_out=1, usage_more=more)
        assert wire.raw()[1]
        costs.append(wire.spent().usd_micro - sum(costs))
    assert costs == [2_710, 2_710], "a quarter more than tokens that are only read"


@pytest.mark.rows("F45")
def test_a_caller_that_goes_away_in_mid_stream_is_settled_at_once_and_the_provider_is_let_go(wire: Wire) -> None:
    wire.provider.default = Reply(text="word " * 500, seconds_between=0.02)
    body = {"model": "default", "messages": HELLO, "stream": True}
    url = f"{wire.gateway.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=wire.gateway.headers()) as answer:
        next(answer.iter_bytes())
    deadline = time.monotonic() + 8
    while not (rows := wire.gateway.ledger("model.result")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [row[3] for row in rows] == ["gone"]
    assert wire.spent().usd_micro == wire.held()


@pytest.mark.rows("F43", "F45")
def test_planted_hole_a_broken_stream_that_counts_as_free_loses_the_money(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = crossing.Meter

    def generous(**said: Any) -> crossing.Meter:
        said["free"] = True
        return honest(**said)

    monkeypatch.setattr(crossing, "Meter", generous)
    wire.provider.default = Reply(text="one two three four five", break_after=4)
    wire.raw()
    assert wire.spent().usd_micro == 0 < wire.held(), "the provider worked, and the books say it was free"
