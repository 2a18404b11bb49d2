"""What passes the door is counted and traced; too much of it is refused. Through the real gateway over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from bootstrap.settings import read_settings
from bootstrap.watching import create_watchers, serve_metrics
from mcp_servers.gateway.identity import Identity, operator_token_hash
from mcp_servers.monitor.metrics import Metrics
from mcp_servers.monitor.observer import Everybody, ModelCall, ModelEnd, Nobody
from mcp_servers.monitor.traces import Traces, provider_to
from mcp_servers.resilience.load import LoadGate
from tests.doubles.collector import Collector
from tests.doubles.gateway import OPERATOR, Office, office
from tests.doubles.serving import serving
from tests.monitor.world import NOW

ASK: dict[str, Any] = {"model": "default", "messages": [{"role": "user", "content": "My secret"}]}


@pytest.fixture
def gateway(tmp_path: Path) -> Generator[Office]:
    with office(tmp_path) as it:
        yield it


def ask(gateway: Office, **more: Any) -> httpx.Response:
    headers = gateway.headers() | {"X-Elf-Purpose": "member-work", "X-Elf-Run": "task-7", "X-Elf-Wait": "0"}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=ASK | more, headers=headers)


def use_tool(gateway: Office, tool: str) -> httpx.Response:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
    headers = gateway.headers() | {"Accept": "application/json", "X-Elf-Run": "task-7"}
    return httpx.post(f"{gateway.url}/mcp", json=call, headers=headers)


@pytest.mark.rows("F68")
def test_model_and_tool_calls_are_counted_and_refusals_too(gateway: Office) -> None:
    metrics = Metrics()
    gateway.gateway.door.till.observer = metrics
    assert ask(gateway).status_code == 200
    assert ask(gateway, model="rehearsal").status_code == 403
    for tool in ("desk__whoami", "desk__fail", "desk__secret"):
        use_tool(gateway, tool)
    page = metrics.page().decode()
    for line in (
        'elf_model_calls_total{model="rehearsal",outcome="ok",team="marketing-team"} 1.0',
        'elf_model_tokens_total{direction="input",model="rehearsal",team="marketing-team"} 20.0',
        'elf_tool_calls_total{outcome="ok",team="marketing-team",tool="desk__whoami"} 1.0',
        'elf_tool_calls_total{outcome="error",team="marketing-team",tool="desk__fail"} 1.0',
        'elf_refused_total{code="not_allowed",what="model"} 1.0',
        'elf_refused_total{code="not_allowed",what="tool"} 1.0',
    ):
        assert line in page
    assert "secret" not in page and "My" not in page


@pytest.mark.rows("F68")
def test_the_page_is_for_its_own_token_and_the_operator_unless_it_was_opened() -> None:
    identity = Identity(b"k" * 32, operator_token_hash(OPERATOR), lambda _id, _rows: True)
    member = identity.issue(
        "a-team", "writer", manager=False, deployment_id="d", jti="j", now=NOW, lifetime=timedelta(hours=1)
    )
    own = "the-metrics-token-0123456789abcdef"
    for open_, expected in ((False, [200, 200, 403, 401, 401, 401]), (True, [200] * 6)):
        app = FastAPI()
        serve_metrics(app, Metrics(), own, identity, lambda: NOW, open_=open_)
        with serving(app) as url:
            tokens = (own, OPERATOR, member, own[:-1], "x.y.z", None)
            headers = [{"Authorization": f"Bearer {token}"} if token else {} for token in tokens]
            assert [httpx.get(f"{url}/metrics", headers=one).status_code for one in headers] == expected


@pytest.mark.rows("F68")
def test_spans_follow_the_genai_conventions_reach_a_real_collector_and_say_no_word_of_the_talk(
    gateway: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    collector = Collector()
    with serving(collector.app) as url:
        traces = Traces(provider_to(url))
        gateway.gateway.door.till.observer = Everybody([traces, Metrics()])
        ask(gateway)
        use_tool(gateway, "desk__fail")
        traces.close()
    spans = {span.name: span for span in collector.spans}
    assert set(spans) == {"chat rehearsal", "execute_tool desk__fail"}
    chat = {item.key: item.value for item in spans["chat rehearsal"].attributes}
    assert chat["gen_ai.operation.name"].string_value == "chat"
    assert chat["gen_ai.request.model"].string_value == "rehearsal"
    assert chat["gen_ai.usage.input_tokens"].int_value == 20
    assert chat["gen_ai.usage.output_tokens"].int_value == 5
    assert chat["gen_ai.agent.name"].string_value == "marketing-team/editor"
    assert chat["gen_ai.conversation.id"].string_value == "task-7"
    tool = {item.key: item.value.string_value for item in spans["execute_tool desk__fail"].attributes}
    assert (tool["gen_ai.tool.name"], tool["error.type"]) == ("desk__fail", "error")
    assert "secret" not in str(collector.spans)


@pytest.mark.rows("F68")
def test_nobody_watching_costs_next_to_nothing() -> None:
    call = ModelCall("team", "member", "openai", "gpt", "default", "work", "run", 100)
    end = ModelEnd("ok", 1, 1, 1, 0.1)
    nobody = Nobody()
    began = time.perf_counter()
    for _ in range(10_000):
        nobody.model_call(call)(end)
    assert (time.perf_counter() - began) / 10_000 < 20e-6


@pytest.mark.rows("F54")
def test_beyond_what_may_be_under_way_a_model_call_is_refused_with_the_time_to_come_again(gateway: Office) -> None:
    till = gateway.gateway.door.till
    till.load = LoadGate(most=1, come_again=timedelta(seconds=7))
    assert ask(gateway).status_code == 200
    assert till.load.under_way == 0
    till.load.began("somebody's", gateway.world.now + timedelta(minutes=1))
    refused = ask(gateway)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")
    assert refused.headers["x-should-retry"] == "true"
    assert refused.json()["error"]["code"] == "overloaded"
    ask(gateway)
    rows = [row for row in gateway.ledger("model.call") if row[3] == "refused"]
    assert len(rows) == 2 and all("Come again" in row[4]["why"] for row in rows)
    assert len(gateway.world.rehearsed) == 1
    till.load.ended("somebody's")
    assert ask(gateway).status_code == 200


@pytest.mark.rows("F54")
def test_planted_hole_without_the_load_gate_everything_goes_through(gateway: Office) -> None:
    till = gateway.gateway.door.till
    till.load = LoadGate(most=None)
    till.load.began("somebody's", gateway.world.now + timedelta(minutes=1))
    assert ask(gateway).status_code == 200


def test_a_call_that_never_reports_back_is_no_load_for_ever(gateway: Office) -> None:
    till = gateway.gateway.door.till
    till.load.most = 1
    till.load.began("lost", gateway.world.now + timedelta(minutes=5))
    assert ask(gateway).status_code == 503
    gateway.world.now += timedelta(minutes=6)
    assert ask(gateway).status_code == 200


@pytest.mark.rows("F68")
def test_spans_go_nowhere_until_an_endpoint_is_set(gateway: Office) -> None:
    collector = Collector()
    with serving(collector.app) as url:
        for environment, wanted in (({}, 0), ({"OTEL_EXPORTER_OTLP_ENDPOINT": url}, 1)):
            watchers = create_watchers(read_settings(environment))
            assert (watchers.traces is None) == (wanted == 0)
            gateway.gateway.door.till.observer = watchers.observer
            assert ask(gateway).status_code == 200
            exporting = [thread.name for thread in threading.enumerate() if "otel" in thread.name.lower()]
            assert bool(exporting) == bool(wanted), exporting
            watchers.close()
            assert len(collector.spans) == wanted
