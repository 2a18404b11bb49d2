"""Calls that may wait: for a free place, for a circuit, for a tool's rate. Bounded, in turn, paid for only when they are made."""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_servers.gateway.circuits import Circuits
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.prices import Link
from mcp_servers.resilience.load import LoadGate
from memory import budgets
from policies.budgets import Budgets
from policies.models import Circuit, Economy, ModelsLaw, Override, Queue
from tests.doubles.gateway import START, Office, office
from tests.doubles.provider import Provider, Reply
from tests.doubles.serving import serving

WORK = {"X-Elf-Purpose": "member-work", "X-Elf-Run": "task-7"}


def law(**queue: Any) -> ModelsLaw:
    return ModelsLaw(
        chains={"standard": ("openai",)},
        economy=Economy(chain=None),
        circuit=Circuit(failures=1, seconds=30),
        queue=Queue(**queue),
    )


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def gateway(tmp_path: Path, provider: Provider) -> Generator[Office]:
    with ExitStack() as stack:
        url = stack.enter_context(serving(provider.app()))
        settings = ModelSettings(openai_api_key="sk-test", openai_url=f"{url}/v1", timeout_seconds=20)
        found = stack.enter_context(office(tmp_path, settings))
        found.world.models_law = law()
        found.world.budgets = Budgets.model_validate({})
        found.gateway.door.till.load = LoadGate(most=1, come_again=timedelta(seconds=7))
        yield found


@pytest.fixture
def people() -> Generator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as found:
        yield found


def ask(gateway: Office, who: str = "marketing-team/editor", text: str = "Hello", **more: str) -> httpx.Response:
    body = {"model": "default", "messages": [{"role": "user", "content": text}]}
    headers = gateway.headers(who) | WORK | more
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def committed(gateway: Office) -> int:
    with gateway.database.read() as session:
        return budgets.committed(session, budgets.COMPANY, gateway.world.now)


def until(gateway: Office, waiting: int) -> None:
    deadline = time.monotonic() + 10
    while gateway.gateway.door.queue.waiting != waiting:
        assert time.monotonic() < deadline, f"{gateway.gateway.door.queue.lines()} wait, not {waiting}"
        time.sleep(0.01)


def refusals(gateway: Office) -> list[dict[str, Any]]:
    return [row[4] for row in gateway.ledger("model.call") if row[3] == "refused"]


@contextmanager
def taken(gateway: Office) -> Generator[None]:
    """The one place is somebody's; at the end of the block it is free."""
    load = gateway.gateway.door.till.load
    load.began("somebody's", gateway.world.now + timedelta(hours=1))
    yield
    load.ended("somebody's")
    gateway.gateway.door.queue.freed()


# ---------------------------------------------------------------- a free place


@pytest.mark.rows("F54")
def test_team_work_waits_for_a_free_place_is_then_made_once_and_the_row_says_how_long(
    gateway: Office, provider: Provider, people: ThreadPoolExecutor
) -> None:
    with taken(gateway):
        waits = people.submit(ask, gateway)
        until(gateway, 1)
        assert gateway.gateway.door.queue.lines() == {"a free place": 1}
        assert (provider.journal, gateway.ledger(), committed(gateway)) == ([], [], 0), (
            "nothing is counted, held or sent"
        )
    assert waits.result(10).status_code == 200
    call, result = gateway.ledger()
    assert (call[3], result[3]) == ("allowed", "ok") and call[4]["waited_ms"] > 0
    assert len(provider.journal) == 1 and gateway.gateway.door.till.load.under_way == 0


@pytest.mark.rows("F54")
def test_whoever_talks_with_a_person_is_told_at_once_and_a_header_says_otherwise(
    gateway: Office, people: ThreadPoolExecutor
) -> None:
    with taken(gateway):
        assert ask(gateway, **{"X-Elf-Purpose": "ceo-chat"}).status_code == 503
        assert ask(gateway, **{"X-Elf-Wait": "0"}).status_code == 503
        assert ask(gateway, **{"X-Elf-Wait": "soon"}).status_code == 400
        waits = people.submit(lambda: ask(gateway, **{"X-Elf-Purpose": "ceo-chat", "X-Elf-Wait": "9"}))
        until(gateway, 1)
    assert waits.result(10).status_code == 200


@pytest.mark.rows("F54")
def test_planted_hole_without_the_queue_the_same_call_fails(gateway: Office) -> None:
    gateway.world.models_law = law(purposes=())
    with taken(gateway):
        assert ask(gateway).status_code == 503
    gateway.world.models_law = law(at_most=0)
    with taken(gateway):
        assert ask(gateway).status_code == 503


@pytest.mark.rows("F54")
def test_a_full_queue_says_when_to_come_again_and_each_refusal_is_written_down(
    gateway: Office, people: ThreadPoolExecutor
) -> None:
    gateway.world.models_law = law(at_most=3, each_team_at_most=2)
    with taken(gateway):
        waits = [people.submit(ask, gateway, "marketing-team/editor") for _ in range(2)]
        until(gateway, 2)
        refused = ask(gateway)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")
        assert refused.headers["x-should-retry"] == "true"
        assert "2 of marketing-team wait already, and 2 of a team may" in refused.json()["error"]["message"]
        waits.append(people.submit(ask, gateway, "devops/architect"))
        until(gateway, 3)
        assert "3 wait already, and 3 may" in ask(gateway, "executive/ceo").json()["error"]["message"]
        assert len(refusals(gateway)) == 2
    assert [one.result(10).status_code for one in waits] == [200] * 3


@pytest.mark.rows("F54")
def test_a_team_that_sends_much_does_not_keep_the_others_waiting(
    gateway: Office, provider: Provider, people: ThreadPoolExecutor
) -> None:
    waits: list[Future[httpx.Response]] = []
    with taken(gateway):
        for number, who in enumerate(["marketing-team/editor"] * 3 + ["devops/architect"]):
            waits.append(people.submit(ask, gateway, who, f"{who} {number}"))
            until(gateway, number + 1)
    assert [one.result(10).status_code for one in waits] == [200] * 4
    order = [str(asked["messages"][0]["content"]).split("/")[0] for asked in provider.journal]
    assert order.index("devops") == 1, "its turn comes after marketing's first call, not after all of them"


@pytest.mark.rows("F54")
def test_the_wait_ends_within_its_time_and_the_refusal_is_written_down(gateway: Office, provider: Provider) -> None:
    gateway.world.models_law = law(seconds=0.2)
    with taken(gateway):
        late = ask(gateway)
    assert (late.status_code, late.json()["error"]["code"], late.headers["retry-after"]) == (503, "overloaded", "7")
    assert "its turn did not come within" in late.json()["error"]["message"]
    [row] = refusals(gateway)
    assert row["waited_for"] == "a free place" and row["waited_ms"] >= 150
    assert (provider.journal, committed(gateway)) == ([], 0)


@pytest.mark.rows("F54")
def test_what_the_wait_took_is_no_longer_there_for_the_answer(
    gateway: Office, provider: Provider, people: ThreadPoolExecutor
) -> None:
    gateway.world.models_law = law().model_copy(update={"deadline_seconds": 2.0})
    provider.default = Reply(seconds=5)
    began = time.monotonic()
    with taken(gateway):
        waits = people.submit(ask, gateway)
        until(gateway, 1)
        time.sleep(0.7)
    assert waits.result(10).json()["error"]["code"] == "timeout"
    assert time.monotonic() - began < 3.5, "one deadline for both"


@pytest.mark.rows("F54")
def test_a_token_that_ended_while_it_waited_and_a_budget_that_ran_out_are_refused_at_their_turn(
    gateway: Office, provider: Provider, people: ThreadPoolExecutor
) -> None:
    with taken(gateway):
        waits = [people.submit(ask, gateway), people.submit(ask, gateway, "devops/architect")]
        until(gateway, 2)
        gateway.world.alive.discard("d-marketing")
        gateway.world.budgets = Budgets.model_validate({"company_usd_day": 0})
    assert [one.result(10).status_code for one in waits] == [401, 402]
    assert (provider.journal, committed(gateway)) == ([], 0)


@pytest.mark.rows("F54")
def test_a_caller_that_went_away_while_it_waited_buys_nothing(gateway: Office, provider: Provider) -> None:
    with taken(gateway):
        body = {"model": "default", "messages": [{"role": "user", "content": "Hello"}]}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=gateway.headers() | WORK, timeout=0.3)
        until(gateway, 1)
    until(gateway, 0)
    assert (provider.journal, committed(gateway)) == ([], 0)


@pytest.mark.rows("F54")
def test_stopping_answers_everybody_who_waits_and_nothing_stays_held(
    gateway: Office, provider: Provider, people: ThreadPoolExecutor
) -> None:
    with taken(gateway):
        waits = [people.submit(ask, gateway) for _ in range(3)]
        until(gateway, 3)
        gateway.gateway.stop()
        for one in waits:
            refused = one.result(5)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
            assert "stopping" in refused.json()["error"]["message"] and "retry-after" in refused.headers
        assert len(refusals(gateway)) == 3
    assert (provider.journal, committed(gateway), gateway.gateway.door.queue.waiting) == ([], 0, 0)


# ---------------------------------------------------------------- a circuit


@pytest.mark.rows("F54", "F55")
def test_when_every_link_is_left_alone_calls_wait_for_the_trial_and_follow_it(
    gateway: Office, provider: Provider, people: ThreadPoolExecutor
) -> None:
    gateway.gateway.door.till.load = LoadGate()
    gateway.world.models_law = law().model_copy(update={"circuit": Circuit(failures=1, seconds=0.4)})
    provider.script.append(Reply(status=503))
    assert ask(gateway).status_code == 502
    waits = [people.submit(ask, gateway, text=f"Hello {number}") for number in range(3)]
    until(gateway, 3)
    assert len(provider.journal) == 1
    gateway.world.now += timedelta(seconds=1)
    assert [one.result(10).status_code for one in waits] == [200] * 3
    assert len(provider.journal) == 4, "each once; the first of them was the trial"
    assert refusals(gateway) == []


@pytest.mark.rows("F54", "F55")
def test_a_circuit_that_stays_open_ends_the_wait_with_its_own_error_and_no_provider_is_asked_twice(
    gateway: Office, provider: Provider
) -> None:
    gateway.gateway.door.till.load = LoadGate()
    gateway.world.models_law = law(seconds=0.2)
    provider.default = Reply(status=503)
    assert ask(gateway).status_code == 502
    late = ask(gateway)
    assert (late.status_code, late.json()["error"]["code"], late.headers["retry-after"]) == (
        502,
        "provider_failed",
        "30",
    )
    assert len(provider.journal) == 1 and committed(gateway) == 0
    assert refusals(gateway)[-1]["waited_for"] == "openai/gpt-5-mini"


def test_one_link_that_may_be_asked_is_enough_not_to_wait() -> None:
    circuits, chain, now = Circuits(), Circuit(failures=1, seconds=30), START
    one, two = Link("openai", "a"), Link("anthropic", "b")
    circuits.ended(one, chain, "outage", now)
    assert circuits.closed_for([one], chain, now) == timedelta(seconds=30)
    assert circuits.closed_for([one, two], chain, now) is None
    assert circuits.closed_for([one], chain, now + timedelta(seconds=30)) is None
    assert circuits.alone(now) == {"openai/a": (1, now + timedelta(seconds=30))}
    assert circuits.closed_for([Link("rehearsal", "rehearsal")], chain, now) is None


@pytest.mark.rows("F43", "F54")
def test_who_waits_for_one_model_alone_is_not_in_the_way_of_who_has_another(
    tmp_path: Path, people: ThreadPoolExecutor
) -> None:
    """Two chains begin with the same link, which is left alone; one of them goes on to a link that works."""
    with ExitStack() as stack:
        url = stack.enter_context(serving(Provider().app()))
        settings = ModelSettings(openai_api_key="sk-test", openai_url=f"{url}/v1", timeout_seconds=20)
        gateway = stack.enter_context(office(tmp_path, settings))
        chain = {"one": ("openai/gpt-5-mini",), "two": ("openai/gpt-5-mini", "openai/gpt-5-nano")}
        override = {"to": "marketing-team/writer", "chain": "one"}
        gateway.world.models_law = law().model_copy(
            update={"chains": chain, "default": "two", "overrides": (Override.model_validate(override),)}
        )
        gateway.gateway.door.till.circuits.ended(
            Link("openai", "gpt-5-mini"), Circuit(failures=1, seconds=30), "outage", START
        )
        waits = people.submit(ask, gateway, "marketing-team/writer", **{"X-Elf-Wait": "3"})
        until(gateway, waiting=1)
        began = time.monotonic()
        assert ask(gateway, **{"X-Elf-Wait": "3"}).status_code == 200
        assert time.monotonic() - began < 2
        assert waits.result().status_code == 502


# ---------------------------------------------------------------- a tool's rate


@pytest.mark.rows("F39", "F54")
def test_a_tool_call_that_may_wait_waits_for_its_rate_to_open(gateway: Office, people: ThreadPoolExecutor) -> None:
    gateway.world.calls_per_minute = 1
    assert "result" in use(gateway).json()
    refused = use(gateway).json()["error"]
    assert (refused["data"]["reason"], refused["data"]["opens_at"]) == ("rate_limited", "2026-11-20T10:01:00+00:00")
    gateway.world.now += timedelta(seconds=59.7)
    waits = people.submit(lambda: use(gateway, **{"X-Elf-Wait": "9"}))
    until(gateway, 1)
    gateway.world.now += timedelta(seconds=1)
    assert "result" in waits.result(10).json()
    gateway.world.models_law = law(seconds=0.1)
    late = use(gateway, **{"X-Elf-Wait": "9"}).json()["error"]
    assert late["data"]["reason"] == "rate_limited" and late["data"]["opens_at"] and "did not come" in late["message"]


@pytest.mark.rows("F39", "F54")
def test_a_waiting_tool_call_has_one_row_however_often_it_was_its_turn(
    gateway: Office, people: ThreadPoolExecutor
) -> None:
    gateway.world.calls_per_minute = 1
    use(gateway)
    gateway.world.now += timedelta(seconds=59.9)
    waits = people.submit(lambda: use(gateway, **{"X-Elf-Wait": "9"}))
    until(gateway, 1)
    # It looked again by itself, more than once, before its rate opened.
    time.sleep(0.3)
    assert [row[3] for row in gateway.ledger("tool.call")] == ["allowed"], "what waits is not decided yet"
    gateway.world.now += timedelta(seconds=1)
    assert "result" in waits.result(10).json()
    gateway.world.models_law = law(seconds=0.1)
    assert "error" in use(gateway, **{"X-Elf-Wait": "9"}).json()
    rows = gateway.ledger("tool.call")
    assert [row[3] for row in rows] == ["allowed", "allowed", "refused"] and "did not come" in rows[-1][4]["why"]


@pytest.mark.rows("F39", "F54", "L7")
def test_a_token_or_a_grant_that_ended_while_a_tool_call_waited_lets_it_pass_no_more(
    gateway: Office, people: ThreadPoolExecutor
) -> None:
    gateway.world.calls_per_minute = 1
    editor, other = "marketing-team/editor", "devops/architect"
    for who in (editor, other):
        assert "result" in use(gateway, who).json()
    waits = [people.submit(use, gateway, who, **{"X-Elf-Wait": "9"}) for who in (editor, other)]
    until(gateway, 2)
    gateway.world.alive.discard("d-marketing")
    gateway.world.grants = ()
    gateway.world.now += timedelta(seconds=61)
    gateway.gateway.door.queue.freed()
    ended, taken_away = (one.result(10) for one in waits)
    assert ended.status_code == 401 and taken_away.json()["error"]["data"]["reason"] == "not_allowed"
    rows = [(row[0], row[3]) for row in gateway.ledger("tool.call")]
    assert rows == [(editor, "allowed"), (other, "allowed"), (other, "refused")], "the unknown have no acts"


@pytest.mark.rows("F39", "L7")
@pytest.mark.parametrize("wait", ["0", "9"])
def test_a_tool_call_visits_the_writer_twice_and_may_wait_at_no_further_cost(
    gateway: Office, wait: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits, write = [0], gateway.gateway.writer.write

    async def counted(work: Any) -> Any:
        visits[0] += 1
        return await write(work)

    monkeypatch.setattr(gateway.gateway.writer, "write", counted)
    gateway.world.calls_per_minute = 9
    assert "result" in use(gateway, **{"X-Elf-Wait": wait}).json()
    assert visits == [2], "who, whether and the row that says so; then how it ended"


def use(gateway: Office, who: str = "marketing-team/editor", **more: str) -> httpx.Response:
    params = {"name": "desk__whoami", "arguments": {}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return httpx.post(f"{gateway.url}/mcp", json=body, headers=gateway.headers(who) | more, timeout=30)
