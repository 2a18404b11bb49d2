"""Who goes round in circles is stopped, told why, and told of: by run, by member without one, by tool, by a talk that stands still."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.run_loops import LoopStopped, RunLoops, Step
from policies.models import Economy, LoopLimits, ModelsLaw
from tests.doubles.gateway import START, Office, World, office
from tests.doubles.provider import Provider
from tests.doubles.serving import serving

OFF: dict[str, Any] = {
    "same_request_at_most": None,
    "same_tool_call_at_most": None,
    "without_progress_at_most": None,
    "calls_in_a_run_at_most": None,
}
EDITOR = "marketing-team/editor"


@pytest.fixture
def start(tmp_path: Path) -> Generator[Any]:
    """Starts the company; again, it is the same company after a restart."""
    provider, world = Provider(), World()
    with ExitStack() as outside:
        url = outside.enter_context(serving(provider.app()))
        with ExitStack() as running:

            def starting(**limits: Any) -> Office:
                running.close()
                law = LoopLimits(**(OFF | limits))
                world.models_law = ModelsLaw(chains={"standard": ("local",)}, economy=Economy(chain=None), loops=law)
                return running.enter_context(office(tmp_path, ModelSettings(base_url=f"{url}/v1"), world=world))

            yield starting


def say(*turns: str, **more: Any) -> dict[str, Any]:
    """A request whose messages are these, of user and assistant in turn."""
    roles = ("user", "assistant")
    return {
        "model": "default",
        "messages": [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)],
        **more,
    }


def ask(gateway: Office, body: dict[str, Any], run: str | None = None, who: str = EDITOR) -> httpx.Response:
    headers = gateway.headers(who) | ({"X-Elf-Run": run} if run else {})
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def use(gateway: Office, run: str | None = None, who: str = EDITOR, **arguments: Any) -> dict[str, Any]:
    params = {"name": "desk__whoami", "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = gateway.headers(who) | ({"X-Elf-Run": run} if run else {})
    return httpx.post(f"{gateway.url}/mcp", json=body, headers=headers).json()


def causes(gateway: Office) -> list[str]:
    return [cause.key for cause in gateway.gateway.door.till.noticed.causes(gateway.world.now)]


@pytest.mark.rows("L4")
def test_a_member_that_names_no_run_is_stopped_too_until_the_window_has_passed(start: Any) -> None:
    gateway = start(same_request_at_most=3)
    assert [ask(gateway, say("Hello")).status_code for _ in range(5)] == [200] * 3 + [403] * 2
    refused = ask(gateway, say("Hello"))
    assert refused.json()["error"]["code"] == "loop_stopped" and "3 times in 600 seconds" in refused.text
    assert refused.json()["error"]["opens_at"] == (START + timedelta(seconds=600)).isoformat()
    assert ask(gateway, say("Something else")).status_code == 200
    assert ask(gateway, say("Hello"), who="marketing-team/writer").status_code == 200
    assert causes(gateway) == [f"loop:{EDITOR}"]
    gateway = start(same_request_at_most=3)
    assert ask(gateway, say("Hello")).status_code == 403 and causes(gateway) == [f"loop:{EDITOR}"], (
        "a restart forgets nothing"
    )
    gateway.world.now += timedelta(seconds=600)
    assert ask(gateway, say("Hello")).status_code == 200


@pytest.mark.rows("L4", "F39")
@pytest.mark.parametrize("run", [None, "task-1"])
def test_the_same_tool_call_again_and_again_is_stopped_and_every_stop_is_written_down(
    start: Any, run: str | None
) -> None:
    gateway = start(same_tool_call_at_most=3)
    answers = [use(gateway, run) for _ in range(11)]
    assert ["result" in answer for answer in answers] == [True] * 3 + [False] * 8
    assert "called desk__whoami with the same arguments 3 times" in answers[-1]["error"]["message"]
    assert answers[-1]["error"]["data"] == {
        "reason": "not_allowed",
        "opens_at": (START + timedelta(minutes=10)).isoformat(),
    }
    rows = [row[4]["loop_of"] for row in gateway.ledger("tool.call") if row[3] == "refused"]
    assert len(rows) == 8 and len(set(rows)) == 1
    assert "result" in use(gateway, run, greeting="good morning"), "other arguments are another call"
    assert "result" in use(gateway, "another-run")
    whose = "The run 'task-1' of marketing-team" if run else EDITOR
    assert causes(gateway) == [f"loop:{whose}"]
    gateway = start(same_tool_call_at_most=3)
    assert "error" in use(gateway, run), "a restart forgets nothing"
    gateway.world.now += timedelta(minutes=10)
    assert "result" in use(gateway, run), "who asks seldom goes round in no circle"


@pytest.mark.rows("L4")
def test_two_who_answer_each_other_with_the_same_two_sentences_are_stopped_however_long_their_talk_becomes(
    start: Any,
) -> None:
    gateway = start(without_progress_at_most=4)
    talk, codes = ["Ping?"], list[int]()
    for number in range(12):
        codes.append(ask(gateway, say(*talk[: 2 * (number // 2) + 1]), "task-1").status_code)
        talk += ["Pong.", "Ping?"]
    assert codes.count(200) < 9 and codes[-1] == 403, codes
    refused = ask(gateway, say(*talk, "x", "y"), "task-1")
    assert refused.status_code == 200, "a word that nobody said before is progress"
    stopped = ask(gateway, say(*talk), "task-1")
    assert stopped.status_code == 200, "and gives another few tries"
    assert causes(gateway) == ["loop:The run 'task-1' of marketing-team"]


def tool_talk(results: list[str]) -> dict[str, Any]:
    """A talk in which the same tool was called for each of these results."""
    body = say("How far is it?")
    for number, result in enumerate(results):
        call = {"id": f"call_{number}", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        body["messages"] += [{"role": "assistant", "content": None, "tool_calls": [call]}]
        body["messages"] += [{"role": "tool", "tool_call_id": f"call_{number}", "content": result}]
    return body


@pytest.mark.rows("L4")
def test_a_tool_that_says_nothing_new_is_no_progress_and_one_that_does_is(start: Any) -> None:
    gateway = start(without_progress_at_most=4)
    said = [ask(gateway, tool_talk(["still running"] * count), "stuck").status_code for count in range(9)]
    assert said == [200] * 6 + [403] * 3
    said = [ask(gateway, tool_talk([f"{n} of 9" for n in range(count)]), "goes-on").status_code for count in range(9)]
    assert said == [200] * 9
    assert "makes no progress" in ask(gateway, tool_talk(["still running"] * 9), "stuck").json()["error"]["message"]
    again = start(without_progress_at_most=4)
    assert ask(again, tool_talk(["still running"] * 10), "stuck").status_code == 403, "a restart forgets nothing"


@pytest.mark.rows("L4")
def test_the_same_last_question_about_another_text_each_time_is_progress() -> None:
    loops, limits = RunLoops(), LoopLimits(**(OFF | {"without_progress_at_most": 3}))
    for number in range(50):
        step = Step("a", "b", "run", "model", str(number), turn=f"document {number}, then: sum it up")
        loops.check(step, limits, START)
        loops.count(step, START)
    alternating = [Step("a", "b", "other", "model", str(number), turn="AB"[number % 2]) for number in range(10)]
    for step in alternating[:5]:
        loops.check(step, limits, START)
        loops.count(step, START)
    with pytest.raises(LoopStopped, match="makes no progress"):
        loops.check(alternating[5], limits, START)


@pytest.mark.rows("L4")
def test_with_the_limits_switched_off_every_circle_goes_on(start: Any) -> None:
    gateway = start()
    assert {ask(gateway, say("Hello")).status_code for _ in range(15)} == {200}
    assert {ask(gateway, tool_talk(["same"] * count), "run").status_code for count in range(20)} == {200}
    assert all("result" in use(gateway, "run") for _ in range(35))
    assert causes(gateway) == []


@pytest.mark.rows("L4")
def test_what_is_shipped_stops_sixty_equal_tool_calls_and_thirty_equal_questions(start: Any) -> None:
    gateway = start(**LoopLimits().model_dump())
    assert sum("result" in use(gateway, "run") for _ in range(60)) == 30
    assert sum(ask(gateway, say("Hello")).status_code == 200 for _ in range(30)) == 10
