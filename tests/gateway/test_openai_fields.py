"""Every field that OpenAI's clients send reaches a model that knows it, or is refused with what to do; nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest

from mcp_servers.gateway import chat
from mcp_servers.gateway.model_settings import ModelSettings
from memory import usage
from policies.models import Economy, ModelsLaw
from tests.doubles.gateway import Office, office
from tests.doubles.provider import Provider, Reply
from tests.doubles.serving import serving

HELLO: dict[str, Any] = {"model": "default", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def gateway(tmp_path: Path, provider: Provider) -> Generator[Office]:
    with ExitStack() as stack:
        url = stack.enter_context(serving(provider.app()))
        keys: dict[str, Any] = {"openai_api_key": "sk-test", "anthropic_api_key": "sk-ant-test"}
        settings = ModelSettings(openai_url=f"{url}/v1", anthropic_url=url, **keys)
        found = stack.enter_context(office(tmp_path, settings))
        found.world.models_law = law("openai")
        yield found


def law(*links: str) -> ModelsLaw:
    return ModelsLaw(chains={"standard": links}, economy=Economy(chain=None), after_a_named_model=None)


@pytest.fixture
def client(gateway: Office) -> Generator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token(), max_retries=0) as found:
        yield found


PASSED_ON: dict[str, Any] = {
    "logprobs": True,
    "top_logprobs": 3,
    "logit_bias": {"50256": -100.0},
    "prompt_cache_key": "team-notes",
    "verbosity": "low",
    "service_tier": "default",
    "n": 2,
}


@pytest.mark.rows("F43")
@pytest.mark.parametrize("stream", [False, True])
def test_what_a_model_of_openais_wire_knows_is_passed_on_to_it(
    client: openai.OpenAI, provider: Provider, stream: bool
) -> None:
    answer: Any = client.chat.completions.create(
        **HELLO, **PASSED_ON, user="me", safety_identifier="me", store=False, metadata={"a": "b"}, stream=stream
    )
    for _ in answer if stream else ():
        pass
    [asked] = provider.journal
    assert {key: asked[key] for key in PASSED_ON} == PASSED_ON
    assert not {"user", "safety_identifier", "store", "metadata"} & set(asked), "who asks is nobody's business there"


@pytest.mark.rows("F43", "F45")
def test_several_answers_are_held_several_times_over_and_all_of_them_come(
    gateway: Office, client: openai.OpenAI, provider: Provider
) -> None:
    one = client.chat.completions.create(**HELLO, max_tokens=1_000)
    held_for_one = gateway.ledger("model.call")[-1][4]["held_usd_micro"]
    provider.default = Reply("Well.", tokens_in=11, tokens_out=2_500)
    three = client.chat.completions.create(**HELLO, max_tokens=1_000, n=3, logprobs=True)
    held_for_three = gateway.ledger("model.call")[-1][4]["held_usd_micro"]
    assert len(one.choices) == 1 and one.choices[0].logprobs is None
    assert [(choice.index, choice.message.content) for choice in three.choices] == [(n, "Well.") for n in range(3)]
    logprobs = three.choices[2].logprobs
    assert logprobs is not None and logprobs.content is not None and logprobs.content[0].logprob == -0.5
    assert 3 * 2_000 <= held_for_three < 3 * held_for_one
    assert three.usage is not None and three.usage.completion_tokens == 2_500, (
        "no lie: three times a thousand were allowed"
    )
    with gateway.database.read() as session:
        assert usage.total(session).tokens_out == 2_507


@pytest.mark.rows("F43")
def test_a_stream_of_several_answers_says_of_each_part_which_it_belongs_to(
    client: openai.OpenAI, provider: Provider
) -> None:
    call = ("find_team", {"skill": "law"})
    provider.default = Reply("one two", tool_calls=(call,))
    with client.chat.completions.stream(**HELLO, n=2, logprobs=True) as stream:
        final = stream.get_final_completion()
    assert [choice.message.content for choice in final.choices] == ["onetwo", "onetwo"]
    assert [choice.finish_reason for choice in final.choices] == ["tool_calls", "tool_calls"]
    for choice in final.choices:
        [made] = choice.message.tool_calls or []
        assert made.function.name == "find_team" and choice.logprobs is not None


@pytest.mark.rows("F43")
@pytest.mark.parametrize("more", [{"n": 2}, {"logprobs": True}, {"logit_bias": {"1": 1}}], ids=str)
def test_models_of_another_wire_are_passed_over_and_alone_they_say_what_they_cannot_do(
    gateway: Office, client: openai.OpenAI, provider: Provider, more: dict[str, Any]
) -> None:
    gateway.world.models_law = law("anthropic", "openai")
    assert client.chat.completions.create(**HELLO, **more).model == "openai/gpt-5-mini"
    assert "does not know" in str(gateway.ledger("model.call")[-1][4]["skipped"])
    for links in (("anthropic",), ("openai",)):
        gateway.world.models_law = law(*links)
        name = "rehearsal" if links == ("openai",) else "default"
        gateway.world.models["marketing-team/editor"] = {"rehearsal"}
        with pytest.raises(openai.BadRequestError, match="models of OpenAI's wire can") as failure:
            client.chat.completions.create(**(HELLO | {"model": name}), **more)
        assert (failure.value.code, failure.value.param) == ("unsupported_parameter", next(iter(more)))
    assert len(provider.journal) == 1


@pytest.mark.rows("F43")
def test_hints_are_no_hindrance_to_a_model_that_does_not_know_them(
    gateway: Office, client: openai.OpenAI, provider: Provider
) -> None:
    gateway.world.models_law = law("anthropic")
    hints: dict[str, Any] = {
        "verbosity": "low",
        "prompt_cache_key": "k",
        "service_tier": "auto",
        "logprobs": False,
        "n": 1,
    }
    assert client.chat.completions.create(**HELLO, **hints).choices[0].message.content
    assert not set(hints) & set(provider.journal[0])


@pytest.mark.rows("F43", "F45")
@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"store": True}, "store: what the company says is kept at no provider"),
        ({"service_tier": "flex"}, "service_tier: must be 'auto' or 'default': other tiers have other prices"),
        ({"functions": [{"name": "a"}]}, "functions: is the old way; use tools and tool_choice"),
        ({"function_call": "auto"}, "function_call: is the old way; use tools and tool_choice"),
        ({"n": chat.MOST_ANSWERS + 1}, "n: Input should be less than or equal to 8"),
    ],
)
def test_what_is_not_passed_on_is_refused_with_the_reason(
    client: openai.OpenAI, provider: Provider, more: dict[str, Any], says: str
) -> None:
    with pytest.raises(openai.BadRequestError) as failure:
        client.chat.completions.create(**HELLO, extra_body=more)
    assert says in failure.value.message and provider.journal == []
