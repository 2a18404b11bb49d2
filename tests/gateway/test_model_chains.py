"""A chain of models across providers: what moves on, what does not, what it costs, and how often anybody is asked."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr, ValidationError

from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.models import Models
from mcp_servers.gateway.prices import Link
from mcp_servers.gateway.refusals import Refused
from memory import budgets
from memory.gateway_tables import UsageRow
from policies.budgets import Budgets
from policies.models import Circuit, Economy, LoopLimits, ModelsLaw, Override
from tests.doubles.gateway import Office, office
from tests.doubles.provider import Provider, Reply
from tests.doubles.serving import serving

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
ASK: dict[str, Any] = {"model": "default", "messages": HELLO}
LOCAL, OPENAI, ANTHROPIC = "local/llama", "openai/gpt-5-mini", "anthropic/claude-sonnet-5-5"


@dataclass
class Street:
    """A gateway with three providers behind it, in the order of the standard chain."""

    office: Office
    local: Provider = field(default_factory=Provider)
    anthropic: Provider = field(default_factory=Provider)
    openai: Provider = field(default_factory=Provider)

    def asked(self) -> list[int]:
        """How many requests each provider has seen, in the chain's order."""
        return [len(one.journal) for one in (self.local, self.anthropic, self.openai)]

    def post(self, body: Any = None, run: str = "none", **headers: str) -> httpx.Response:
        sent = self.office.headers() | {"X-Elf-Run": run} | headers
        return httpx.post(f"{self.office.url}/v1/chat/completions", json=body or ASK, headers=sent, timeout=30)

    def outcomes(self) -> list[tuple[str, str]]:
        with self.office.database.read() as session:
            return [(row.model, row.outcome) for row in session.query(UsageRow).order_by(UsageRow.id)]

    def committed(self) -> int:
        with self.office.database.read() as session:
            return budgets.committed(session, "team:marketing-team", self.office.world.now)


def budget(**micro: int) -> Budgets:
    """Budgets in micro-dollars."""
    return Budgets.model_validate({name: str(Decimal(amount) / 1_000_000) for name, amount in micro.items()})


@pytest.fixture
def street(tmp_path: Path) -> Generator[Street]:
    local, anthropic, openai_ = Provider(), Provider(), Provider()
    with ExitStack() as stack:
        urls = [stack.enter_context(serving(one.app())) for one in (local, anthropic, openai_)]
        settings = ModelSettings(
            base_url=f"{urls[0]}/v1",
            base_url_model="llama",
            anthropic_api_key="sk-ant-test",
            anthropic_url=urls[1],
            anthropic_model="claude-sonnet-5-5",
            openai_api_key="sk-test",
            openai_url=f"{urls[2]}/v1",
            timeout_seconds=20,
        )
        yield Street(stack.enter_context(office(tmp_path, settings)), local, anthropic, openai_)


# ---------------------------------------------------------------- moving on


@pytest.mark.rows("F43")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(status=429), "rate_limit"),
        (Reply(raw='{"error": {"message": "x", "code": "insufficient_quota"}}', status=429), "quota"),
        (Reply(status=503), "outage"),
        (Reply(status=401), "key_refused"),
        (Reply(raw="<html>It works!</html>"), "malformed"),
    ],
)
def test_the_next_link_answers_and_the_reason_is_in_usage_ledger_and_header(
    street: Street, reply: Reply, why: str, stream: bool
) -> None:
    street.local.default = reply
    answer = street.post(ASK | {"stream": stream})
    assert answer.status_code == 200 and "Hello" in answer.text
    assert answer.headers["x-elf-model"] == ANTHROPIC
    assert answer.headers["x-elf-chain"] == f"{LOCAL};{why}, {ANTHROPIC};ok"
    assert street.outcomes() == [(LOCAL, why), (ANTHROPIC, "ok")]
    calls = street.office.ledger("model.call")
    assert [row[2] for row in calls] == [LOCAL, ANTHROPIC]
    assert calls[1][4]["moved_on_from"] == f"{LOCAL};{why}" and calls[1][4]["chain"] == "standard"
    assert street.asked() == [1, 1, 0]


@pytest.mark.rows("F43")
def test_a_link_that_hangs_leaves_time_for_the_next(street: Street) -> None:
    street.office.world.models_law = ModelsLaw(deadline_seconds=1.0)
    street.local.default = Reply(seconds=3)
    answer = street.post()
    assert answer.headers["x-elf-chain"] == f"{LOCAL};timeout, {ANTHROPIC};ok"
    street.anthropic.default = street.openai.default = Reply(seconds=3)
    late = street.post()
    assert (late.status_code, late.json()["error"]["code"]) == (504, "timeout")
    assert late.elapsed < timedelta(seconds=2.5), "all tries share one deadline"
    assert late.headers["x-elf-chain"].count("timeout") == 3


@pytest.mark.rows("F43")
def test_when_every_link_fails_each_was_asked_once_and_all_reasons_are_said(street: Street) -> None:
    for one in (street.local, street.anthropic, street.openai):
        one.default = Reply(status=503)
    answer = street.post()
    assert answer.status_code == 502 and answer.headers["x-should-retry"] == "false"
    assert f"{LOCAL} (outage), {ANTHROPIC} (outage) failed before" in answer.json()["error"]["message"]
    assert street.asked() == [1, 1, 1]
    assert street.office.world.rehearsed == [], "the rehearsal model never stands in for one that failed"


def test_a_request_that_a_provider_does_not_accept_is_nobody_else_s(street: Street) -> None:
    street.local.default = Reply(status=400)
    assert street.post().status_code == 502
    assert street.asked() == [1, 0, 0]


@pytest.mark.rows("F43")
def test_a_stream_that_breaks_after_its_first_piece_is_never_glued_to_another(street: Street) -> None:
    street.local.default = Reply(text="one two three", break_after=3)
    answer = street.post(ASK | {"stream": True})
    assert "one" in answer.text and '"error"' in answer.text and "[DONE]" not in answer.text
    assert "Hello" not in answer.text and street.asked() == [1, 0, 0]
    assert street.outcomes() == [(LOCAL, "broken")]


def test_a_stream_that_ends_before_its_first_piece_moves_on(street: Street) -> None:
    street.local.default = Reply(break_after=0)
    answer = street.post(ASK | {"stream": True, "stream_options": {"include_usage": True}})
    assert "[DONE]" in answer.text and '"total_tokens":18' in answer.text
    assert street.outcomes() == [(LOCAL, "malformed"), (ANTHROPIC, "ok")]


@pytest.mark.parametrize("stream", [False, True])
def test_a_temperature_that_a_model_does_not_take_is_left_out_not_a_failure(street: Street, stream: bool) -> None:
    street.local.default = Reply(status=503)
    for _ in range(2):
        answer = street.post(ASK | {"temperature": 0.7, "stop": ["END"], "stream": stream})
        assert answer.headers["x-elf-model"] == ANTHROPIC
    assert "temperature" not in street.anthropic.journal[0] and street.anthropic.journal[0]["stop_sequences"] == ["END"]
    assert street.asked() == [2, 2, 0]


# ---------------------------------------------------------------- one retry layer


@pytest.mark.rows("F43")
@pytest.mark.parametrize("client", ["openai", "langchain", "crewai-like"])
def test_however_the_client_retries_a_provider_is_asked_once(street: Street, client: str) -> None:
    for one in (street.local, street.anthropic, street.openai):
        one.default = Reply(status=429)
    url, token = f"{street.office.url}/v1", street.office.token()
    with pytest.raises(openai.APIStatusError):
        _CLIENTS[client](url, token)
    assert street.asked() == [1, 1, 1]


def _langchain(url: str, token: str) -> None:
    ChatOpenAI(base_url=url, api_key=SecretStr(token), model="default", max_retries=5).invoke("Hello")


def _openai(url: str, token: str) -> None:
    with openai.OpenAI(base_url=url, api_key=token, max_retries=5) as sdk:
        sdk.chat.completions.create(model="default", messages=HELLO)


def _like_crewai(url: str, token: str) -> None:
    """CrewAI's own wrapper tries again on a rate limit, three times, round the SDK's two retries."""
    with openai.OpenAI(base_url=url, api_key=token) as sdk:
        for attempt in range(3):
            try:
                sdk.chat.completions.create(model="default", messages=HELLO, stop=["\nObservation:"], temperature=0.7)
            except openai.RateLimitError:
                if attempt == 2:
                    raise


_CLIENTS = {"openai": _openai, "langchain": _langchain, "crewai-like": _like_crewai}


# ---------------------------------------------------------------- circuits


@pytest.mark.rows("F55")
def test_after_five_failures_a_link_is_left_alone_until_one_call_finds_it_well(street: Street) -> None:
    street.local.default = Reply(status=503)
    for _ in range(5):
        assert street.post().status_code == 200
    answer = street.post()
    assert answer.headers["x-elf-chain"] == f"{LOCAL};circuit_open, {ANTHROPIC};ok"
    assert street.asked() == [5, 6, 0]
    street.office.world.now += timedelta(seconds=31)
    assert street.post().headers["x-elf-chain"].startswith(f"{LOCAL};outage"), "the trial failed: open again"
    assert street.post().headers["x-elf-chain"].startswith(f"{LOCAL};circuit_open")
    street.office.world.now += timedelta(seconds=31)
    street.local.default = Reply()
    assert [street.post().headers["x-elf-model"] for _ in range(2)] == [LOCAL, LOCAL]


@pytest.mark.rows("F55")
def test_without_the_circuit_a_dead_link_is_asked_every_time(street: Street) -> None:
    street.office.world.models_law = ModelsLaw(circuit=Circuit(failures=1000))
    street.local.default = Reply(status=503)
    for _ in range(7):
        street.post()
    assert street.asked()[0] == 7


def test_when_all_circuits_are_open_the_refusal_says_when_one_may_try_again(street: Street) -> None:
    street.office.world.models_law = ModelsLaw(
        chains={"standard": ("local",)}, circuit=Circuit(failures=1), economy=Economy(chain=None)
    )
    street.local.default = Reply(status=503)
    assert street.post().status_code == 502
    answer = street.post()
    assert answer.status_code == 502 and answer.headers["retry-after"] == "30"
    assert "left alone; it is tried again from 10:00:30" in answer.json()["error"]["message"]


# ---------------------------------------------------------------- money


@pytest.mark.rows("F43", "F45")
def test_each_try_is_paid_for_by_itself_inside_the_budget(street: Street) -> None:
    street.local.default = Reply(status=503)
    street.anthropic.default = Reply(raw="<html>", status=200)
    street.openai.default = Reply(tokens_in=1_000, tokens_out=1_000)
    assert street.post().headers["x-elf-model"] == OPENAI
    held = {row[2]: row[4]["held_usd_micro"] for row in street.office.ledger("model.call")}
    assert street.committed() == held[ANTHROPIC] + 2_250, "an answer that cannot be read was worked on, so it counts"
    street.office.world.budgets = budget(team_usd_day=street.committed() + 1)
    answer = street.post()
    assert answer.status_code == 502 and f"{LOCAL};outage" in answer.headers["x-elf-chain"]
    assert "Then: The daily budget of team:marketing-team" in answer.json()["error"]["message"]
    assert street.asked() == [2, 1, 1]


@pytest.mark.rows("F46")
def test_from_80_percent_on_the_cheapest_model_goes_first_and_one_warning_a_day_is_recorded(street: Street) -> None:
    law = ModelsLaw(chains={"standard": ("anthropic", "openai"), "thrifty": ("openai/gpt-5-nano",)})
    street.office.world.models_law = law
    street.office.world.budgets = budget(team_usd_day=10_000_000)
    assert street.post().headers["x-elf-model"] == ANTHROPIC
    with street.office.database.begin() as session:
        hold = budgets.Hold("r", "marketing-team", "writer", "m", "p", "x", 8_000_000, timedelta(hours=1))
        budgets.reserve(session, hold, budgets.Limits(), street.office.world.now)
    assert [street.post().headers["x-elf-model"] for _ in range(2)] == ["openai/gpt-5-nano"] * 2
    [warning] = street.office.ledger("budget.warning")
    assert (warning[2], warning[3], warning[4]["at_percent"]) == ("team:marketing-team", "near", 80)
    assert street.office.ledger("model.call")[-1][4]["economy"] is True
    street.office.world.models_law = law.model_copy(update={"economy": Economy(when="never")})
    assert street.post().headers["x-elf-model"] == ANTHROPIC, "switched off, the dear model goes on being used"
    street.office.world.now += timedelta(days=1)
    street.office.world.models_law = law
    assert street.post().headers["x-elf-model"] == ANTHROPIC, "a new day"


@pytest.mark.rows("F122")
def test_economy_mode_uses_the_cheapest_model_always_for_everybody_or_one_team(street: Street) -> None:
    chains: dict[str, Any] = {"chains": {"standard": ("anthropic", "openai"), "thrifty": ("openai/gpt-5-nano",)}}
    for economy in (Economy(when="always"), Economy(when="never", teams={"marketing-team": "always"})):
        street.office.world.models_law = ModelsLaw(**chains, economy=economy)
        assert street.post().headers["x-elf-model"] == "openai/gpt-5-nano"
    street.office.world.models_law = ModelsLaw(
        **chains, economy=Economy(when="always", teams={"marketing-team": "never"})
    )
    assert street.post().headers["x-elf-model"] == ANTHROPIC


@pytest.mark.rows("F45")
def test_a_run_has_a_budget_of_its_own(street: Street) -> None:
    street.office.world.budgets = budget(run_usd=2_500)
    street.office.world.models_law = ModelsLaw(chains={"standard": ("openai",)}, economy=Economy(chain=None))
    street.openai.default = Reply(tokens_in=1_000, tokens_out=1_000)
    ask = ASK | {"max_tokens": 100}
    assert street.post(ask, run="task-1").status_code == 200
    refused = street.post(ask, run="task-1")
    assert refused.status_code == 402 and "one run of team:marketing-team" in refused.json()["error"]["message"]
    assert "retry-after" not in refused.headers
    assert street.post(ask, run="task-2").status_code == 200


# ---------------------------------------------------------------- loops


@pytest.mark.rows("L4")
def test_a_run_that_asks_the_same_again_and_again_is_stopped_and_recorded(street: Street) -> None:
    street.office.world.models_law = ModelsLaw(loops=LoopLimits(same_request_at_most=3))
    answers = [street.post(run="task-1") for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [403] * 5
    assert answers[-1].json()["error"]["code"] == "loop_stopped"
    assert "going round in circles" in answers[-1].json()["error"]["message"]
    assert street.asked() == [3, 0, 0]
    rows = [row[4]["why"] for row in street.office.ledger("model.call") if row[3] == "refused"]
    assert len(rows) == 5 and all("going round in circles" in why for why in rows)
    assert street.post(ASK | {"temperature": 0.1}, run="task-1").status_code == 200, "another request goes on"
    assert street.post(run="task-2").status_code == 200
    street.office.world.models_law = ModelsLaw(loops=LoopLimits(same_request_at_most=None))
    assert street.post(run="task-1").status_code == 200, "switched off, the loop goes on"


@pytest.mark.rows("L4")
def test_a_run_that_never_ends_is_stopped(street: Street) -> None:
    street.office.world.models_law = ModelsLaw(loops=LoopLimits(calls_in_a_run_at_most=4))
    codes = [street.post(ASK | {"seed": number}, run="task-1").status_code for number in range(6)]
    assert codes == [200] * 4 + [403] * 2


# ---------------------------------------------------------------- what a name means


@pytest.mark.rows("F43", "F04")
def test_team_member_and_purpose_have_chains_of_their_own(street: Street) -> None:
    street.office.world.models_law = ModelsLaw(
        overrides=(
            Override(to="marketing-team/*", purpose="skeptic-review", chain="thrifty"),
            Override(to="marketing-team/writer", chain="thrifty"),
        ),
        chains={"standard": ("anthropic",), "thrifty": ("openai/gpt-5-nano",)},
    )
    thrifty = "openai/gpt-5-nano"
    assert street.post().headers["x-elf-model"] == ANTHROPIC
    assert street.post(**{"X-Elf-Purpose": "skeptic-review"}).headers["x-elf-model"] == thrifty
    writer = street.office.headers("marketing-team/writer")
    assert street.post(**writer).headers["x-elf-model"] == thrifty


@pytest.mark.rows("F43", "F04")
def test_a_model_named_in_a_spec_goes_first_and_its_chain_after_it(street: Street) -> None:
    street.office.world.models["marketing-team/editor"] = {"openai/gpt-5-nano", "thrifty"}
    street.openai.default = Reply(status=503)
    answer = street.post(ASK | {"model": "openai/gpt-5-nano"})
    assert answer.headers["x-elf-chain"] == f"openai/gpt-5-nano;outage, {LOCAL};ok"
    street.office.world.models_law = ModelsLaw(after_a_named_model=None)
    assert street.post(ASK | {"model": "openai/gpt-5-nano"}).status_code == 502
    assert street.post(ASK | {"model": "thrifty"}).headers["x-elf-model"] == LOCAL, "a spec may name a chain"


@pytest.mark.rows("F43")
def test_absent_providers_are_left_out_with_the_reason_and_rehearsal_only_stands_where_nothing_is() -> None:
    law = ModelsLaw(chains={"standard": ("local", "openai"), "thrifty": ("anthropic",)})
    models = Models(ModelSettings(openai_api_key="k"), lambda _: {}, lambda: law)
    plan = models.plan("default")
    assert plan.links == (Link("openai", "gpt-5-mini"),)
    assert plan.skipped == {"local": "ELF_MODEL_BASE_URL is not set"}
    with pytest.raises(Refused, match="anthropic: ANTHROPIC_API_KEY is not set"):
        models.plan("thrifty")
    nothing = Models(ModelSettings(), lambda _: {}, lambda: law)
    assert nothing.plan("default").links == nothing.plan("thrifty").links == (Link("rehearsal", "rehearsal"),)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"default": "best"}, "there is no chain 'best'"),
        ({"chains": {"standard": (), "thrifty": ("openai",)}}, "at least 1"),
        ({"chains": {"standard": ("openai", "openai"), "thrifty": ("openai",)}}, "there twice"),
        ({"chains": {"standard": ("rehearsal",), "thrifty": ("openai",)}}, "no provider 'rehearsal'"),
        ({"chains": {"standard": ("openai",), "thrifty": ("openai",), "local": ("openai",)}}, "means something else"),
        ({"overrides": ({"to": "a/b", "chain": "none"},)}, "there is no chain 'none'"),
        ({"loops": {"same_request_at_most": 0}}, "greater than or equal to 1"),
    ],
)
def test_a_law_of_models_that_cannot_be_meant_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ModelsLaw.model_validate(fields)


# ---------------------------------------------------------------- embeddings, images


def test_embeddings_come_from_the_keyless_lexical_model_and_are_the_same_every_time(street: Street) -> None:
    with openai.OpenAI(base_url=f"{street.office.url}/v1", api_key=street.office.token()) as sdk:
        texts = ["The invoice is overdue", "An overdue invoice", "Cats sleep"]
        first = sdk.embeddings.create(model="default", input=texts)
        again = sdk.embeddings.create(model="default", input=texts, encoding_format="float", dimensions=64)
    one, two, three = (row.embedding for row in first.data)
    assert first.model == "lexical" and len(one) == 384 and len(again.data[0].embedding) == 64
    assert (
        sum(a * b for a, b in zip(one, two, strict=True))
        > 0.5
        > 0.2
        > abs(sum(a * b for a, b in zip(one, three, strict=True)))
    )
    assert [row[2:4] for row in street.office.ledger("model.result")] == [("lexical", "ok")] * 2


@pytest.mark.rows("F44")
def test_embeddings_of_a_provider_are_paid_and_never_come_from_another_model(street: Street) -> None:
    street.office.world.models_law = ModelsLaw(embeddings="openai/text-embedding-3-small")
    street.openai.default = Reply(tokens_in=1_000)
    with openai.OpenAI(base_url=f"{street.office.url}/v1", api_key=street.office.token()) as sdk:
        found = sdk.embeddings.create(model="default", input=["a", "b"])
        tokens = sdk.embeddings.create(model="default", input=[[1, 2], [3]])
        street.openai.default = Reply(status=503)
        with pytest.raises(openai.APIStatusError) as failure:
            sdk.embeddings.create(model="default", input="a")
    assert [row.embedding for row in found.data] == [[0.5, 1.0], [1.5, 1.0]] and len(tokens.data) == 2
    assert failure.value.status_code == 502 and street.asked() == [0, 0, 3]
    assert street.committed() == 40 and street.outcomes()[-1] == ("openai/text-embedding-3-small", "outage")


def test_a_provider_that_gives_too_few_vectors_is_malformed(street: Street) -> None:
    street.office.world.models_law = ModelsLaw(embeddings="local/embedder")
    street.local.default = Reply(raw=json.dumps({"object": "list", "data": [], "model": "x", "usage": None}))
    body = {"model": "default", "input": ["a", "b"]}
    answer = httpx.post(f"{street.office.url}/v1/embeddings", json=body, headers=street.office.headers())
    assert answer.status_code == 502 and street.outcomes() == [("local/embedder", "malformed")]
    bad: list[Any] = [[], [""], {"a": 1}, [-1], ["a", 1]]
    for given in bad:
        wrong = httpx.post(
            f"{street.office.url}/v1/embeddings", json=body | {"input": given}, headers=street.office.headers()
        )
        assert wrong.status_code == 400, given


def test_an_image_reaches_the_provider_as_it_was_sent(street: Street) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
    ]
    assert street.post(ASK | {"messages": [{"role": "user", "content": parts}]}).status_code == 200
    assert street.local.journal[0]["messages"][0]["content"] == parts
    street.local.default = Reply(status=503)
    assert street.post(ASK | {"messages": [{"role": "user", "content": parts}]}).status_code == 200
    [text, image] = street.anthropic.journal[0]["messages"][0]["content"]
    assert (text["text"], image["source"]["data"]) == ("What is this?", "iVBORw0KGgo=")
