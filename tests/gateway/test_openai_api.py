"""The models' door speaks OpenAI's wire: official clients work against it, and every no is typed, recorded and free."""

from __future__ import annotations

import json
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from memory import budgets, usage
from memory.budgets import Hold
from policies.budgets import Budgets
from tests.doubles.gateway import OPERATOR, Office, office, sha256

ASK: dict[str, Any] = {"model": "default", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def gateway(tmp_path: Path) -> Generator[Office]:
    with office(tmp_path) as found:
        yield found


def sdk(gateway: Office, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token(), **options)


def post(gateway: Office, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body or ASK).encode()
    return httpx.post(f"{gateway.url}/v1/chat/completions", content=content, headers=headers or gateway.headers())


@pytest.mark.rows("F44", "F51", "F103")
def test_a_call_is_answered_counted_and_written_down_without_its_words(gateway: Office) -> None:
    headers = {"X-Elf-Purpose": "member-work", "X-Elf-Run": "task-7"}
    with sdk(gateway, default_headers=headers) as client:
        answer = client.chat.completions.create(model="default", messages=[{"role": "user", "content": "My secret"}])
    assert answer.choices[0].message.content == "Rehearsed: My secret"
    assert (answer.model, answer.usage and answer.usage.total_tokens) == ("rehearsal", 25)
    assert gateway.world.rehearsed[0]["purpose"] == "member-work"
    with gateway.database.read() as session:
        assert usage.total(session, team="marketing-team", run="task-7") == usage.Total(1, 20, 5, 0)
    rows = gateway.ledger()
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("marketing-team/editor", "model.call", "allowed"),
        ("marketing-team/editor", "model.result", "ok"),
    ]
    assert rows[1][4]["answer_sha256"] == sha256(
        json.dumps({"role": "assistant", "content": "Rehearsed: My secret"}, sort_keys=True)
    )
    assert "secret" not in json.dumps(rows)


def test_a_stream_comes_in_pieces_and_ends_with_its_usage(gateway: Office) -> None:
    with sdk(gateway) as client:
        stream = client.chat.completions.create(
            model="default",
            messages=[{"role": "user", "content": "a long enough sentence to be cut"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == "Rehearsed: a long enough sentence to be cut"
    assert len([text for text in texts if text]) > 1
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens == 25
    assert [row[3] for row in gateway.ledger("model.result")] == ["ok"]


def test_a_stream_without_the_option_has_no_usage_chunk(gateway: Office) -> None:
    events = post(gateway, ASK | {"stream": True}).text
    assert events.endswith("data: [DONE]\n\n") and '"usage"' not in events


async def test_langchain_works_with_tools_through_the_rehearsal_model(gateway: Office) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "teams"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    gateway.world.rehearsal_answer = {"message": message, "finish_reason": "tool_calls"}
    model = ChatOpenAI(base_url=f"{gateway.url}/v1", api_key=SecretStr(gateway.token()), model="default")
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    bound = model.bind_tools([tool])
    answer = await bound.ainvoke("What is there?")
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("look", {"at": "teams"})]  # pyright: ignore[reportAttributeAccessIssue] - an AIMessage
    streamed = [chunk async for chunk in bound.astream("What is there?")]
    whole = streamed[0]
    for chunk in streamed[1:]:
        whole += chunk  # pyright: ignore[reportOperatorIssue] - chunks add up
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("look", {"at": "teams"})]  # pyright: ignore[reportAttributeAccessIssue] - an AIMessageChunk
    assert gateway.world.rehearsed[0]["tools"][0]["function"]["name"] == "look"


@pytest.mark.rows("F39")
def test_without_a_valid_token_nothing_is_said_and_the_refusal_is_written_down(gateway: Office) -> None:
    for header in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": f"Basic {OPERATOR}"}):
        answer = post(gateway, headers=header or {"x": "y"})
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
    assert [(row[0], row[1], row[3]) for row in gateway.ledger()] == [("unknown", "identify", "refused")] * 3


@pytest.mark.rows("F39")
def test_a_retired_teams_token_is_dead_at_once(gateway: Office) -> None:
    headers = gateway.headers()
    assert post(gateway, headers=headers).status_code == 200
    gateway.world.alive.clear()
    assert post(gateway, headers=headers).status_code == 401


@pytest.mark.rows("F04", "F103")
def test_a_member_uses_only_the_default_and_the_model_its_spec_names(gateway: Office) -> None:
    refused = post(gateway, ASK | {"model": "rehearsal"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
    assert [(row[2], row[3]) for row in gateway.ledger("model.call")] == [("rehearsal", "refused")]
    gateway.world.models["marketing-team/editor"] = {"rehearsal"}
    assert post(gateway, ASK | {"model": "rehearsal"}).status_code == 200
    assert post(gateway, ASK | {"model": "rehearsal"}, gateway.headers("person")).status_code == 200


def test_the_models_listed_are_those_that_may_and_can_be_used(gateway: Office) -> None:
    def listed(address: str) -> list[str]:
        answer = httpx.get(f"{gateway.url}/v1/models", headers=gateway.headers(address))
        return [model["id"] for model in answer.json()["data"]]

    gateway.world.models["marketing-team/editor"] = {"rehearsal", "openai/gpt-5-mini"}
    assert listed("marketing-team/editor") == ["default", "rehearsal"]
    assert listed("marketing-team/writer") == ["default"]
    assert listed("person") == ["default", "rehearsal"]
    assert httpx.get(f"{gateway.url}/v1/models").status_code == 401


def test_one_model_is_shown_by_its_name_or_it_is_said_why_it_cannot_be_used(gateway: Office) -> None:
    def shown(name: str, address: str = "marketing-team/editor") -> tuple[int, str]:
        answer = httpx.get(f"{gateway.url}/v1/models/{name}", headers=gateway.headers(address))
        found = answer.json()
        return answer.status_code, found["id"] if answer.is_success else found["error"]["message"]

    gateway.world.models["marketing-team/editor"] = {"openai/gpt-5-mini", "opnai/gpt-5-mini"}
    assert shown("default") == (200, "default")
    assert shown("rehearsal", "person") == (200, "rehearsal")
    assert shown("rehearsal")[0] == 403 and "may not use the model 'rehearsal'" in shown("rehearsal")[1]
    status, why = shown("openai/gpt-5-mini")
    assert status == 404 and "OPENAI_API_KEY is not set" in why
    status, why = shown("opnai%2Fgpt-5-mini")
    assert status == 404 and "There is no model 'opnai/gpt-5-mini'. Names are" in why
    assert httpx.get(f"{gateway.url}/v1/models/default").status_code == 401


def test_a_model_that_is_not_there_is_named(gateway: Office) -> None:
    missing = {"gpt-4": "There is no model", "openai/gpt-5-mini": "OPENAI_API_KEY is not set", "local/": "no model"}
    for model, says in missing.items():
        answer = post(gateway, ASK | {"model": model}, gateway.headers("person"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        assert says in answer.json()["error"]["message"]


BAD_BODIES: dict[str, Any] = {
    "not JSON": b"{",
    "not UTF-8": b'{"model": "\xff"}',
    "a list": [],
    "no messages": {"model": "default"},
    "empty messages": ASK | {"messages": []},
    "an unknown role": ASK | {"messages": [{"role": "root", "content": "x"}]},
    "an unknown field": ASK | {"logit_bias": {"1": 100}},
    "two answers": ASK | {"n": 2},
    "negative max_tokens": ASK | {"max_tokens": -1},
    "endless max_tokens": ASK | {"max_tokens": 10**12},
    "a tool named badly": ASK | {"tools": [{"type": "function", "function": {"name": "a b"}}]},
    "two tools of one name": ASK | {"tools": [{"type": "function", "function": {"name": "a"}}] * 2},
    "a choice without tools": ASK | {"tool_choice": "required"},
    "a choice that is none": ASK | {"tool_choice": "maybe"},
    "a choice of a stranger": ASK
    | {
        "tools": [{"type": "function", "function": {"name": "a"}}],
        "tool_choice": {"type": "function", "function": {"name": "b"}},
    },
    "a format without schema": ASK | {"response_format": {"type": "json_schema"}},
    "an unknown format": ASK | {"response_format": {"type": "xml"}},
}


def test_a_wrong_request_is_refused_before_any_money_is_held(gateway: Office) -> None:
    for name, body in BAD_BODIES.items():
        answer = post(gateway, body if isinstance(body, bytes) else json.dumps(body).encode())
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error"), name
        assert answer.json()["error"]["message"], name
    for header in ({"X-Elf-Purpose": "Drop Tables"}, {"X-Elf-Run": "../../x y"}, {"X-Elf-Run": "r" * 200}):
        assert post(gateway, headers=gateway.headers() | header).status_code == 400
    with gateway.database.read() as session:
        assert budgets.committed(session, budgets.COMPANY, gateway.world.now) == 0
    assert gateway.world.rehearsed == []


@pytest.mark.rows("F45")
def test_an_empty_budget_is_refused_with_the_time_it_opens_again_and_clients_do_not_retry(gateway: Office) -> None:
    gateway.world.team_budgets["marketing-team"] = Decimal(0)
    with sdk(gateway) as client, pytest.raises(openai.APIStatusError) as refusal:
        client.chat.completions.create(model="default", messages=[{"role": "user", "content": "Hello"}])
    assert refusal.value.status_code == 402
    assert refusal.value.code == "insufficient_quota"
    assert "2026-11-21T00:00:00+00:00" in refusal.value.message
    assert refusal.value.response.headers["retry-after"] == str(14 * 3600)
    assert [row[3] for row in gateway.ledger()] == ["refused"]
    assert gateway.world.rehearsed == []


@pytest.mark.rows("F45")
def test_what_others_hold_counts_for_the_company(gateway: Office) -> None:
    gateway.world.budgets = Budgets.model_validate({"company_usd_day": "0.000001"})
    with gateway.database.begin() as session:
        hold = Hold("r", "devops", "lead", "m", "p", "none", 1, timedelta(minutes=5))
        budgets.reserve(session, hold, budgets.Limits(), gateway.world.now)
    assert post(gateway).status_code == 200, "a rehearsed call costs nothing and fits"
    gateway.world.budgets = Budgets(company_usd_day=0)
    assert post(gateway).status_code == 402
    assert post(gateway, headers=gateway.headers("person")).status_code == 402, (
        "the company's limit binds the person too"
    )


def test_fifty_calls_at_once_are_all_answered_and_chained(gateway: Office) -> None:
    headers = gateway.headers()
    with ThreadPoolExecutor(16) as pool:
        answers = [job.result().status_code for job in [pool.submit(post, gateway, None, headers) for _ in range(50)]]
    assert answers == [200] * 50
    assert len(gateway.ledger()) == 100
