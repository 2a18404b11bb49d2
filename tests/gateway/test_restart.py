"""A restart gives no second helping: rates and runs are counted again from what the ledger says was let through."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_servers.gateway import app
from mcp_servers.gateway.circuits import Circuits
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.noticed import Noticed
from mcp_servers.gateway.rates import Rates
from mcp_servers.gateway.recalled import Memory, recall
from mcp_servers.gateway.run_loops import RunLoops, Step
from memory import ledger
from memory.session import Database
from policies.models import Circuit, LoopLimits, ModelsLaw
from tests.doubles.gateway import START, Office, World, office
from tests.doubles.provider import Provider, Reply
from tests.doubles.serving import serving

LAW = ModelsLaw(loops=LoopLimits(same_request_at_most=3, calls_in_a_run_at_most=5))


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def start(tmp_path: Path, provider: Provider) -> Generator[Any]:
    """Starts the company; again, it is the same company after a restart."""
    world = World(calls_per_minute=2, models_law=LAW)
    with ExitStack() as outside:
        url = outside.enter_context(serving(provider.app()))
        settings = ModelSettings(base_url=f"{url}/v1", openai_api_key="sk", openai_url=f"{url}/v1")
        with ExitStack() as running:

            def starting() -> Office:
                running.close()
                return running.enter_context(office(tmp_path, settings, world=world))

            yield starting


def use(gateway: Office) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "desk__whoami", "arguments": {}}}
    return httpx.post(f"{gateway.url}/mcp", json=body, headers=gateway.headers()).json()


def ask(gateway: Office, text: str = "Hello", run: str = "change-12") -> int:
    body = {"model": "default", "messages": [{"role": "user", "content": text}]}
    headers = gateway.headers() | {"X-Elf-Run": run}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers).status_code


@pytest.mark.rows("F39", "L5")
def test_a_member_s_rate_holds_over_a_restart_and_opens_when_it_would_have(start: Any) -> None:
    first = start()
    assert ["result" in use(first) for _ in range(3)] == [True, True, False]
    again = start()
    refused = use(again)["error"]
    assert (refused["data"]["reason"], refused["data"]["opens_at"]) == ("rate_limited", "2026-11-20T10:01:00+00:00")
    again.world.now += timedelta(seconds=61)
    assert "result" in use(start())


@pytest.mark.rows("L4", "L5")
def test_a_run_that_goes_round_in_circles_does_so_after_a_restart_too(start: Any, provider: Provider) -> None:
    provider.script.append(Reply(status=503))
    first = start()
    assert [ask(first) for _ in range(2)] == [200, 200]
    assert len(provider.journal) == 3, "one call had two tries, and counts once"
    again = start()
    assert [ask(again) for _ in range(2)] == [200, 403], "three times the same, and no more"
    assert [ask(again, f"other {number}") for number in range(3)] == [200, 200, 403], "five calls a run, and no more"
    assert ask(start(), run="change-13") == 200


@pytest.mark.rows("F55", "L5")
def test_a_provider_that_was_left_alone_is_left_alone_after_a_restart_until_its_trial(
    start: Any, provider: Provider
) -> None:
    provider.script.extend([Reply(status=503), Reply()] * 5)
    first = start()
    for number in range(5):
        assert ask(first, f"{number}", run="none") == 200
    again = start()
    assert list(again.gateway.door.till.circuits.alone(again.world.now)) == ["local/default"]
    again.world.now += timedelta(seconds=31)
    later = again.world.now + timedelta(hours=2)
    assert again.gateway.door.till.circuits.alone(later) == {}, "nobody has tried it for long: it is not known to fail"
    assert ask(again) == 200 and len(provider.journal) == 11
    assert start().gateway.door.till.circuits.alone(again.world.now) == {}


@pytest.mark.rows("L4", "L5")
def test_planted_hole_without_the_recalling_a_restart_is_a_second_helping(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object) -> None: ...

    monkeypatch.setattr(app, "recall", nothing)
    first = start()
    assert [ask(first) for _ in range(4)] == [200, 200, 200, 403]
    assert ["result" in use(first) for _ in range(3)] == [True, True, False]
    again = start()
    assert ask(again) == 200 and "result" in use(again)


@pytest.mark.rows("L5")
def test_recalling_reads_a_bounded_part_of_a_long_ledger(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_servers.gateway.recalled.ROWS", 50)
    with database.begin() as session:
        for number in range(120):
            detail = {"run": "task-1", "request_sha256": str(number % 2)}
            ledger.append(session, ledger.Entry("a-team/b", "model.call", "openai/x", "allowed", START, detail))
            ledger.append(session, ledger.Entry("a-team/b", "tool.call", "desk__whoami", "allowed", START))
    rates, loops, began = Rates(), RunLoops(), time.process_time()
    with database.read() as session:
        recall(session, Memory(rates, loops, Circuits(), Noticed()), Circuit(), START + timedelta(seconds=30))
    assert time.process_time() - began < 0.5
    assert rates.opens_at("a-team/b", "desk__whoami", 25) == START + timedelta(seconds=60)
    assert rates.opens_at("a-team/b", "desk__whoami", 26) is None
    another = Step("a-team", "b", "task-1", "model", "another", "new")
    loops.check(another, LoopLimits(calls_in_a_run_at_most=26), START)
