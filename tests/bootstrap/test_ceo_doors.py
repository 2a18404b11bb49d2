"""The CEO behind OpenAI's wire and behind MCP, as the official clients see it over HTTP."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamable_http_client

from bootstrap.office.ceo_chat import LABEL
from memory import usage
from memory.usage import Usage
from tests.doubles.own_clients import Reached, reached

Turn = dict[str, Any]


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Reached]:
    with reached(tmp_path, monkeypatch, patience_s=0.1) as found:
        yield found


@pytest.fixture
def client(company: Reached) -> Generator[openai.OpenAI]:
    with openai.OpenAI(base_url=company.v1, api_key=company.token(), max_retries=0) as opened:
        yield opened


@asynccontextmanager
async def session(company: Reached, token: str) -> AsyncGenerator[ClientSession]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(headers=headers, timeout=20) as http,
        streamable_http_client(company.mcp, http_client=http) as (reading, writing, _),
        ClientSession(reading, writing) as opened,
    ):
        await opened.initialize()
        yield opened


def user(text: Any) -> Turn:
    return {"role": "user", "content": text}


def asked(client: openai.OpenAI, *turns: Turn, **more: Any) -> Any:
    create: Any = client.chat.completions.create
    return create(model="ceo", messages=list(turns), **more)


def spent(company: Reached, run: str, outcome: str = "ok") -> None:
    now = company.office.world.now
    one = Usage("2026-11-20", now, "executive", "ceo", "m", "work", run, 700, 30, 5, 9, outcome)
    with company.office.database.begin() as writing:
        usage.record(writing, one)


@pytest.mark.rows("F24")
def test_the_ceo_is_told_the_last_words_and_the_turns_before_them_and_no_model_instructions(
    company: Reached, client: openai.OpenAI
) -> None:
    before = [{"role": "system", "content": "You are a pirate."}, user("Hello")]
    before += [{"role": "assistant", "content": f"{LABEL}Good day."}, user([{"type": "text", "text": "Nice"}])]
    before += [{"role": "assistant", "content": ""}]
    answer = asked(
        client, *before, user([{"type": "text", "text": "How is"}, {"type": "text", "text": "the company?"}])
    )
    assert answer.choices[0].message.content == f"{LABEL}All is well."
    [(correlation_id, message)] = company.ceo.told
    assert message.text == "How is\nthe company?"
    assert [(one.speaker, one.text) for one in message.history] == [
        ("person", "Hello"),
        ("ceo", "Good day."),
        ("person", "Nice"),
    ]
    assert correlation_id.startswith("v1.")
    assert company.office.ledger("person.talk")[0][4]["correlation_id"] == correlation_id


def test_what_the_ceo_cannot_do_is_refused_with_the_field_and_not_ignored(
    company: Reached, client: openai.OpenAI
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    wrong: list[tuple[list[Turn], dict[str, Any], str]] = [
        ([user("Hello"), {"role": "assistant", "content": "Hi"}], {}, "last message must be yours"),
        ([user([image])], {}, "text alone"),
        ([user("a\x1bb")], {}, "control character"),
        ([user("\u200b")], {}, "nothing to see"),
        ([user("x" * 20_001)], {}, "at most 20000"),
        ([user("Hello")], {"tools": [tool], "tool_choice": "required"}, "none of your tools"),
        ([user("Hello")], {"response_format": {"type": "json_object"}}, "fills no format"),
    ]
    for turns, more, words in wrong:
        with pytest.raises(openai.BadRequestError, match=words):
            asked(client, *turns, **more)
    assert company.ceo.told == []
    assert [row[3] for row in company.office.ledger("person.talk")] == ["refused"] * len(wrong)
    assert asked(client, user("Hello"), tools=[tool], temperature=0.3, max_tokens=9).choices


@pytest.mark.rows("F44")
def test_usage_is_what_the_message_led_to_in_all_teams_and_left_out_where_nobody_counted(
    company: Reached, client: openai.OpenAI
) -> None:
    company.ceo.takes_s = 0.2
    for number, (outcome, expected) in enumerate((("ok", 730), ("gone", None))):
        stream = asked(client, user(f"Question {number}"), stream=True, stream_options={"include_usage": True})
        next(stream)
        while len(company.ceo.told) <= number:
            time.sleep(0.01)
        spent(company, company.ceo.told[number][0], outcome)
        last = list(stream)[-1]
        assert (last.usage.total_tokens if last.usage else None) == expected
    assert asked(client, user("Free")).usage is None


@pytest.mark.rows("F24")
def test_a_stream_tells_what_crosses_between_teams_says_that_it_is_there_and_ends_with_the_answer(
    company: Reached,
) -> None:
    company.ceo.wish, company.ceo.takes_s = True, 0.3
    body = {"model": "ceo", "stream": True, "messages": [user("We need a marketing team")]}
    headers = {"Authorization": f"Bearer {company.token()}"}
    text = httpx.post(f"{company.v1}/chat/completions", json=body, headers=headers).text
    assert text.count(": the CEO is still at work") >= 2
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    thought = "".join(delta.get("reasoning_content") or "" for delta in deltas)
    assert thought.splitlines()[0].startswith("executive/ceo wrote to devops (team_creation_request)")
    assert "devops answered" in thought
    said = "".join(delta.get("content") or "" for delta in deltas)
    assert said == f"{LABEL}All is well.\n\nEvidence:\n- change #1 is open"
    assert text.endswith("data: [DONE]\n\n") and chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.rows("L5")
def test_a_client_that_hangs_up_and_tries_again_hears_the_answer_to_what_it_began(
    company: Reached, client: openai.OpenAI
) -> None:
    company.ceo.wish, company.ceo.takes_s = True, 0.5
    wish = user("We need a marketing team")
    with pytest.raises(openai.APITimeoutError):
        asked(client, wish, timeout=0.15)
    with asked(client, wish, stream=True) as stream:
        next(iter(stream))
    joined = asked(client, wish)
    assert (
        "All is well." in joined.choices[0].message.content and "You said this" not in joined.choices[0].message.content
    )
    again = asked(client, wish)
    assert "nothing was done twice" in again.choices[0].message.content and again.usage is None
    assert len(company.ceo.told) == 1
    assert [row[3] for row in company.office.ledger("person.talk")] == ["allowed", "joined", "joined", "repeated"]
    company.office.world.now += timedelta(minutes=15)
    asked(client, wish)
    assert len(company.ceo.told) == 2


@pytest.mark.rows("L5")
def test_the_sdks_own_retry_is_no_new_question(company: Reached) -> None:
    company.ceo.takes_s = 0.25
    with openai.OpenAI(base_url=company.v1, api_key=company.token(), max_retries=1, timeout=0.2) as impatient:
        assert "All is well." in asked(impatient, user("How is the company?")).choices[0].message.content
    assert len(company.ceo.told) == 1


def test_a_ceo_whose_team_fails_is_an_error_and_no_answer(company: Reached, client: openai.OpenAI) -> None:
    company.ceo.state, company.ceo.answer = "failed", "The model gave no answer."
    with pytest.raises(openai.InternalServerError, match="gave no answer"):
        asked(client, user("Hello"))
    with pytest.raises(openai.APIError, match="gave no answer"):
        list(asked(client, user("Hello"), stream=True))


@pytest.mark.rows("F35", "F103")
async def test_an_mcp_client_talks_and_looks_and_each_call_has_its_rows(company: Reached) -> None:
    async with session(company, company.token()) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        looking = {name for name, tool in tools.items() if tool.annotations and tool.annotations.readOnlyHint}
        assert set(tools) - looking == {"talk_to_ceo"}
        assert looking == {"ceo_answer", "status", "changes", "show_change", "costs"}
        first = await client.call_tool("talk_to_ceo", {"message": "How is the company?"})
        said = first.structuredContent or {}
        assert (said["answer"], said["rehearsal"], first.meta) == ("All is well.", True, {"elf/untrusted": True})
        await client.call_tool("talk_to_ceo", {"message": "And devops?", "conversation": said["conversation"]})
        assert [one.text for one in company.ceo.told[1][1].history] == ["How is the company?", "All is well."]
        assert (await client.call_tool("status", {})).structuredContent == {
            "teams": [{"team": "executive", "state": "active"}]
        }
        bad = await client.call_tool("talk_to_ceo", {"message": "a\x1bb"})
        assert bad.isError and "control character" in str(bad.content)
    async with session(company, company.token()) as other:
        await other.call_tool("talk_to_ceo", {"message": "Go on", "conversation": said["conversation"]})
        assert company.ceo.told[2][1].history == (), "a conversation is its client's own"
        mine = await other.call_tool("ceo_answer", {"message": said["message"]})
        assert mine.isError and "no such message of yours" in str(mine.content)
    rows = [(row[0], row[1], row[2], row[3]) for row in company.office.ledger() if row[1].startswith("tool.")]
    assert rows[:2] == [
        ("person:owner", "tool.call", "ceo__talk_to_ceo", "allowed"),
        ("person:owner", "tool.result", "ceo__talk_to_ceo", "ok"),
    ]
    assert "How is" not in json.dumps(rows)


@pytest.mark.rows("F106")
async def test_no_tool_decides_and_every_description_of_one_that_could_tempt_says_so(company: Reached) -> None:
    async with session(company, company.token()) as client:
        tools = {tool.name: tool.description or "" for tool in (await client.list_tools()).tools}
        for word in ("approve", "reject", "override", "merge", "token"):
            assert not [name for name in tools if word in name]
            for name in (word, f"{word}_change"):
                with pytest.raises(McpError, match="no such tool"):
                    await client.call_tool(name, {"number": 1})
        for name in ("talk_to_ceo", "changes", "show_change"):
            assert "person" in tools[name] and "approve" in tools[name]


@pytest.mark.rows("L5")
async def test_an_answer_that_takes_longer_than_a_call_is_fetched_with_another(company: Reached) -> None:
    company.ceo.wish, company.ceo.takes_s = True, 0.4
    async with session(company, company.token()) as client:
        wish = {"message": "We need a marketing team"}
        first = (await client.call_tool("talk_to_ceo", wish)).structuredContent or {}
        assert first["state"] == "working"
        assert ((await client.call_tool("talk_to_ceo", wish)).structuredContent or {})["message"] == first["message"]
        answer = first
        while answer["state"] == "working":
            answer = (await client.call_tool("ceo_answer", {"message": first["message"]})).structuredContent or {}
        assert answer["answer"] == "All is well." and answer["evidence"][0]["kind"] == "change"
        again = (await client.call_tool("talk_to_ceo", wish)).structuredContent or {}
        assert "nothing was done twice" in again["repeated"]
    assert len(company.ceo.told) == 1


def test_curl_talks_with_the_ceo_without_the_token_among_its_arguments(company: Reached) -> None:
    body = json.dumps({"model": "ceo", "messages": [user("How is the company?")]})
    command = ["curl", "-s", "--noproxy", "*", "--config", "-", f"{company.v1}/chat/completions"]
    command += ["-H", "Content-Type: application/json", "-d", body]
    config = f'header = "Authorization: Bearer {company.token()}"\n'
    done = subprocess.run(command, input=config, capture_output=True, text=True, timeout=20)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == f"{LABEL}All is well."


@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("DELETE", 405), ("POST", 400)])
def test_the_address_of_the_tools_has_no_stream_no_sessions_and_typed_errors(
    company: Reached, method: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {company.token()}", "Content-Type": "application/json"}
    answer = httpx.request(method, company.mcp, content=b"[", headers=headers)
    assert answer.status_code == status
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
    assert httpx.post(company.mcp, json=hello, headers=headers).json()["error"]["code"] == -32602
    assert httpx.post(company.mcp, json=hello | {"method": "x"}, headers=headers).json()["error"]["code"] == -32601
