"""A LangGraph team, whole: rendered, served, asked over A2A, on a gateway of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.factories.specs import support_team
from tests.runtime.conftest import Runs, deploy
from tests.runtime.standin import Call, StandIn, calls_tool


def team(home: Path, standin: StandIn, name: str = "support-team", **changes: Any) -> Any:
    return deploy(support_team(name=name, **changes), home, standin.url)


def utterances(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines]


def data_of(task: dict[str, Any]) -> dict[str, Any]:
    return next(part["data"] for part in task["artifacts"][0]["parts"] if "data" in part)


def text_of(task: dict[str, Any]) -> str:
    return next(part["text"] for part in task["artifacts"][0]["parts"] if "text" in part)


@pytest.mark.rows("F01", "F04", "F11", "F22")
def test_the_work_is_done_in_order_then_doubted_then_answered_each_with_its_own_token(
    tmp_path: Path, standin: StandIn, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    standin.mind = lambda call: f"words of {call.token}"
    with runs(team(tmp_path, standin)) as running:
        assert running.settled()["status"] == "ok"
        task = running.send("Where is my parcel?")
    assert [(call.token, call.purpose, call.body["model"]) for call in standin.calls] == [
        ("triager", "member-work", "openai/gpt-5-mini"),
        ("answerer-1", "member-work", "openai/gpt-5-mini"),
        ("doubter", "skeptic-review", "anthropic/claude-haiku-4-5"),
        ("lead", "manager-work", "openai/gpt-5-mini"),
    ]
    assert {call.run for call in standin.calls} == {task["id"]}
    assert "words of triager" in standin.calls[1].task
    assert "words of doubter" in standin.calls[3].task
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert (text_of(task), data_of(task)) == ("words of lead", {"effects": []})
    said = [(line["speaker"], line["listener"]) for line in utterances(capsys)]
    assert said == [
        ("person:owner", "lead"),
        ("lead", "triager"),
        ("triager", "lead"),
        ("lead", "answerer-1"),
        ("answerer-1", "lead"),
        ("lead", "doubter"),
        ("doubter", "lead"),
        ("lead", "person:owner"),
    ]


@pytest.mark.rows("F23", "F25", "F26")
def test_only_the_manager_reaches_other_teams_and_what_crossed_is_recorded_by_code(
    tmp_path: Path, standin: StandIn, runs: Runs
) -> None:
    def mind(call: Call) -> str | dict[str, Any]:
        if "request_team" in call.tools and not call.results:
            return calls_tool(
                "request_team",
                capability_gap="Nobody paints",
                required_skills=["painting"],
                urgency="high",
                business_justification="White walls",
            )
        return "All done, and much more than that!"

    standin.mind = mind
    data = {"kind": "person_message", "correlation_id": "corr-7", "payload": {"text": "Paint the office"}}
    with runs(team(tmp_path, standin)) as running:
        running.settled()
        task = running.send("Paint the office", data)
    assert {call.token for call in standin.calls if call.tools} == {"lead"}
    sender, receiver, envelope = standin.messages[0]
    assert (sender, receiver, envelope["kind"], envelope["correlation_id"]) == (
        "lead",
        "devops",
        "team_creation_request",
        "corr-7",
    )
    assert envelope["payload"]["requester"] == "person:owner"
    assert envelope["payload"]["requesting_team"] == "support-team"
    (effect,) = data_of(task)["effects"]
    assert (effect["kind"], effect["team"], effect["result"]["state"]) == ("requested_team", "devops", "completed")
    assert effect["result"]["data"] == {"outcome": "proposed", "change": 3}
    told = json.loads(standin.calls[-1].results[0])["data"]["change"]
    assert (told, type(told)) == (3, int)


def test_a_team_name_that_is_a_path_reaches_nobody(tmp_path: Path, standin: StandIn, runs: Runs) -> None:
    def mind(call: Call) -> str | dict[str, Any]:
        if "ask_team" in call.tools and not call.results:
            return calls_tool("ask_team", team="../v1/models?", message="hello")
        return "done"

    standin.mind = mind
    with runs(team(tmp_path, standin)) as running:
        running.settled()
        task = running.send("Ask them")
    assert standin.calls[-1].results[0].startswith("Error: ask_team: team:")
    assert (standin.messages, data_of(task)) == ([], {"effects": []})


@pytest.mark.rows("F36")
def test_a_member_uses_its_tool_over_one_held_session_and_sees_its_error(
    tmp_path: Path, standin: StandIn, runs: Runs
) -> None:
    def mind(call: Call) -> str | dict[str, Any]:
        if call.token == "triager" and len(call.results) < 3:
            return calls_tool("registry__query_teams", skill=["a", "broken", "b"][len(call.results)])
        return " | ".join(call.results) or "fine"

    standin.mind = mind
    spec = support_team()
    members = [
        member.model_copy(update={"tools": ("registry__query_teams",)}) if member.name == "triager" else member
        for member in spec.members
    ]
    deployment = team(tmp_path, standin, members=[member.model_dump() for member in members])
    with runs(deployment) as running:
        assert running.settled()["status"] == "ok"
        task = running.send("Look around")
    triager = [call for call in standin.calls if call.token == "triager"]
    assert triager[0].tools == ["registry__query_teams"]
    assert "on fire" in triager[-1].results[1]
    assert "content-team" in triager[-1].results[2]
    methods = [message["method"] for message in standin.mcp]
    assert methods.count("initialize") == 1
    assert {message["run"] for message in standin.mcp if message["method"] == "tools/call"} == {task["id"]}


@pytest.mark.rows("F03")
def test_a_hierarchical_team_is_led_by_its_manager_who_delegates_by_role(
    tmp_path: Path, standin: StandIn, runs: Runs
) -> None:
    def mind(call: Call) -> str | dict[str, Any]:
        if call.token == "lead" and len(call.results) < 2:
            coworker = ["Nobody", "quality skeptic"][len(call.results)]
            return calls_tool("delegate_work_to_coworker", task="Judge it", context="all of it", coworker=coworker)
        return f"words of {call.token}"

    standin.mind = mind
    with runs(team(tmp_path, standin, process="hierarchical")) as running:
        running.settled()
        task = running.send("Decide")
    assert [call.purpose for call in standin.calls] == [
        "manager-work",
        "manager-work",
        "skeptic-review",
        "manager-work",
    ]
    assert standin.calls[1].results[0].startswith("Error: give a task and a coworker")
    assert text_of(task) == "words of lead"


def test_a_model_that_never_stops_calling_tools_is_made_to_answer(tmp_path: Path, standin: StandIn, runs: Runs) -> None:
    standin.mind = lambda call: (
        calls_tool("no_such_tool") if "ask_team" in call.tools and len(call.results) < 50 else "enough"
    )
    with runs(team(tmp_path, standin)) as running:
        running.settled()
        task = running.send("Go")
    assert text_of(task) == "enough"
    assert len([call for call in standin.calls if call.token == "lead"]) == 13


def test_a_run_whose_model_fails_ends_as_failed_and_the_team_works_on(
    tmp_path: Path, standin: StandIn, runs: Runs
) -> None:
    with runs(team(tmp_path, standin)) as running:
        running.settled()
        standin.down = True
        assert running.send("Go")["status"]["state"] == "TASK_STATE_FAILED"
        standin.down = False
        standin.mind = lambda call: "well again"
        assert text_of(running.send("Go")) == "well again"
