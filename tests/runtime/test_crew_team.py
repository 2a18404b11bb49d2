"""A CrewAI team in a process of its own (CrewAI takes seconds to load: one process serves all these tests)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.factories.specs import content_team
from tests.runtime.conftest import INBOUND, Running, deploy
from tests.runtime.standin import Call, StandIn, calls_tool

ROOT = Path(__file__).parents[2]

LAUNCHER = """
import socket, sys
from pathlib import Path
from teams.runtime.deployment import Deployment
from teams.runtime.server import serve

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
serve(Deployment.model_validate_json(Path(sys.argv[1]).read_bytes()), listener)
"""


@dataclass(frozen=True)
class Process:
    """The team's process, what it wrote, and the home of the person who started it."""

    running: Running
    pid: int
    home: Path
    out: Path
    first_health: dict[str, Any]

    def utterances(self, task: str) -> list[tuple[str, str]]:
        lines = [json.loads(line) for line in self.out.read_text().splitlines() if line.startswith("{")]
        return [(line["speaker"], line["listener"]) for line in lines if line["task"] == task]


def hierarchical() -> Any:
    spec = content_team(process="hierarchical").model_dump(mode="json")
    spec["members"][0]["tools"] = ["registry__query_teams"]
    return content_team(**spec)


@pytest.fixture(scope="module")
def crew(standin_server: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    base = tmp_path_factory.mktemp("crew")
    told, out, home = base / "told.json", base / "out", base / "home"
    home.mkdir()
    told.write_text(deploy(hierarchical(), base, standin_server.url).model_dump_json())
    with out.open("wb") as stdout, (base / "err").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(told)],
            stdout=stdout,
            stderr=stderr,
            env={"PYTHONPATH": str(ROOT), "HOME": str(home), "PATH": "/usr/bin:/bin"},
        )
        try:
            while not (first := out.read_text().splitlines()[:1]):
                assert process.poll() is None, (base / "err").read_text()
            url = f"http://127.0.0.1:{first[0]}"
            with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {INBOUND}"}, timeout=60) as client:
                running = Running(url, client)
                health = running.health()
                running.settled(60)
                yield Process(running, process.pid, home, out, health)
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.rows("F03", "F20", "F22", "F25")
def test_the_manager_has_the_tools_delegates_and_answers_and_code_records_what_crossed(
    crew: Process, standin: StandIn
) -> None:
    def mind(call: Call) -> str | dict[str, Any]:
        steps: list[dict[str, Any]] = [
            calls_tool("registry__query_teams", skill="painting"),
            calls_tool(
                "request_team",
                capability_gap="Nobody paints",
                required_skills=["painting"],
                urgency="normal",
                business_justification="White walls",
            ),
            calls_tool("delegate_work_to_coworker", task="Check it", context="all", coworker="Researcher"),
        ]
        if "request_team" in call.tools and len(call.results) < len(steps):
            return steps[len(call.results)]
        return f"words for {call.purpose}"

    standin.mind = mind
    data = {
        "kind": "person_message",
        "correlation_id": "corr-9",
        "payload": {"text": "Paint {the} office", "history": [{"speaker": "person:owner", "text": "Hello"}]},
    }
    task = crew.running.send("Paint {the} office", data)
    assert task["status"]["state"] == "TASK_STATE_COMPLETED", task
    text, effects = task["artifacts"][0]["parts"][0]["text"], task["artifacts"][0]["parts"][1]["data"]["effects"]
    assert text == "words for manager-work"
    assert [(effect["kind"], effect["team"]) for effect in effects] == [("requested_team", "devops")]
    assert effects[0]["result"]["data"] == {"outcome": "proposed", "change": 3}
    manager = [call for call in standin.calls if call.token == "editor"]
    assert "<history>\nperson:owner: Hello\n</history>" in manager[0].task
    assert "<request>\nPaint {the} office\n</request>" in manager[0].task
    assert manager[0].system.startswith("You are Managing Editor. ")
    assert "content-team" in manager[1].results[0]
    (member,) = [call for call in standin.calls if call.token == "researcher"]
    # CrewAI writes one underscore where the gateway's name has two; the call itself goes out under the gateway's name.
    assert (member.purpose, member.tools) == ("member-work", ["registry_query_teams"])
    assert {call.run for call in standin.calls} == {"corr-9"}
    assert crew.utterances(task["id"]) == [
        ("person:owner", "editor"),
        ("editor", "devops"),
        ("devops", "editor"),
        ("editor", "researcher"),
        ("researcher", "editor"),
        ("editor", "person:owner"),
    ]


def test_health_is_answered_while_the_framework_is_still_loading(crew: Process) -> None:
    assert crew.first_health["status"] == "starting"
    health = crew.running.health()
    assert (health["status"], health["framework"], len(health["members"])) == ("ok", "crewai", 3)


@pytest.mark.rows("F40", "F76")
def test_the_process_holds_no_secret_but_its_members_tokens_and_leaves_the_home_alone(crew: Process) -> None:
    environment = Path(f"/proc/{crew.pid}/environ").read_text().replace("\0", "\n")
    assert not [word for word in ("KEY", "TOKEN", "SECRET", "PASSWORD", "DATABASE", INBOUND) if word in environment]
    assert list(crew.home.rglob("*")) == []


def test_several_runs_at_once_do_not_mix(crew: Process, standin: StandIn) -> None:
    from concurrent.futures import ThreadPoolExecutor

    standin.mind = lambda call: "answer to " + call.task.split("<request>\n")[1].split("\n")[0]
    with ThreadPoolExecutor(8) as pool:
        tasks = list(pool.map(crew.running.send, [f"wish {n}" for n in range(8)]))
    assert [task["artifacts"][0]["parts"][0]["text"] for task in tasks] == [f"answer to wish {n}" for n in range(8)]
