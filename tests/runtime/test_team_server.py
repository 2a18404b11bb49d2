"""The server of a team: who may speak to it, how much, and what it says of its health."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from teams.runtime import guard
from teams.runtime.a2a_face import RecentTasks, TeamRequests
from teams.runtime.work import Queue, Run, RunResult, TooBusy
from tests.factories.specs import support_team
from tests.runtime.conftest import Running, Runs, deploy
from tests.runtime.standin import StandIn


def quick(home: Path, standin: StandIn, **changes: Any) -> Any:
    """A team of three that answers with one call."""
    members = [member.model_dump() for member in support_team().members[:3]]
    spec = support_team(process="hierarchical", members=members, **changes)
    return deploy(spec, home, standin.url)


@pytest.mark.rows("F13")
def test_without_the_token_only_health_and_card_are_answered(tmp_path: Path, standin: StandIn, runs: Runs) -> None:
    with runs(quick(tmp_path, standin)) as running:
        running.settled()
        card = httpx.get(f"{running.url}/.well-known/agent-card.json").json()
        assert card["name"] == "support-team"
        assert card["supportedInterfaces"][0]["url"] == f"{standin.url}/a2a/support-team"
        for method, path in [("POST", "/a2a"), ("POST", "/a2a/"), ("POST", "/task"), ("GET", "/capabilities")]:
            for token in ("", "Bearer wrong", "Basic x", "Bearer x y"):
                answer = httpx.request(method, running.url + path, headers={"Authorization": token}, json={})
                assert answer.status_code == 401, (path, token)
        assert running.client.get("/capabilities").json()["skills"] == ["support", "triage"]
        assert running.client.post("/task", json={"message": "Hi"}).json()["answer"] == "words for manager-work"
        assert standin.calls


def test_a_guard_that_knows_nobody_would_let_anybody_in(
    tmp_path: Path, standin: StandIn, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "OPEN_PATHS", guard.OPEN_PATHS | {"/task"})
    with runs(quick(tmp_path, standin)) as running:
        running.settled()
        assert httpx.post(f"{running.url}/task", json={"message": "Hi"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"message": "\xff"}', 400),
        (b'{"message": ""}', 422),
        (b'{"message": "a\\u0000b"}', 422),
        (b'{"message": "a", "role": "boss"}', 422),
        (b'{"message": "' + b"x" * 30_000 + b'"}', 422),
        (b'{"message": "' + b"x" * 1_000_000 + b'"}', 413),
    ],
)
def test_bad_bodies_are_refused_before_anybody_works(
    tmp_path: Path, standin: StandIn, runs: Runs, body: bytes, status: int
) -> None:
    with runs(quick(tmp_path, standin)) as running:
        running.settled()
        answer = running.client.post("/task", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, answer.text
    assert standin.calls == []


def test_a_body_that_lies_about_its_length_is_cut_off() -> None:
    import asyncio

    sent: list[dict[str, Any]] = []
    chunks = 0

    async def receive() -> dict[str, Any]:
        nonlocal chunks
        chunks += 1
        return {"type": "http.request", "body": b"x" * 100_000, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("reached the app")

    scope = {"type": "http", "method": "POST", "path": "/health", "headers": [], "query_string": b""}
    asyncio.run(guard.Guard(app, "")(scope, receive, send))
    assert (sent[0]["status"], chunks) == (413, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"kind": "coup", "correlation_id": "c", "payload": {}}, "Nobody here understands messages of kind 'coup'"),
        ({"kind": "task", "correlation_id": "c", "payload": {"text": "x", "role": "boss"}}, "payload.role: is not a"),
        (
            {"kind": "task", "correlation_id": "c", "deadline": "2001-01-01T00:00:00Z", "payload": {"text": "x"}},
            "deadline of this request has passed",
        ),
    ],
)
def test_a_message_that_breaks_a_rule_is_rejected_with_the_sentence_to_show(
    tmp_path: Path, standin: StandIn, runs: Runs, data: dict[str, Any], reason: str
) -> None:
    with runs(quick(tmp_path, standin)) as running:
        running.settled()
        task = running.send("hello", data)
    assert task["status"]["state"] == "TASK_STATE_REJECTED"
    assert reason in json.dumps(task)
    assert standin.calls == []


@pytest.mark.rows("F18")
def test_a_model_nobody_has_makes_the_team_fail_its_health_check(tmp_path: Path, standin: StandIn, runs: Runs) -> None:
    standin.models = ("default",)
    with runs(quick(tmp_path, standin, model="openai/gpt-99")) as running:
        health = running.settled()
        assert health["status"] == "failing"
        assert (
            "triager: the gateway refused /v1/models/openai%2Fgpt-99 (404): There is no model 'openai/gpt-99'."
            in health["reason"]
        )
        assert httpx.get(f"{running.url}/health").status_code == 503
        assert running.send("hello")["status"]["state"] == "TASK_STATE_FAILED"


def test_a_tool_that_is_not_granted_makes_the_team_fail_its_health_check(
    tmp_path: Path, standin: StandIn, runs: Runs
) -> None:
    members = [member.model_dump() for member in support_team().members[:3]]
    members[1]["tools"] = ["git__push_to_main"]
    with runs(deploy(support_team(members=members), tmp_path, standin.url)) as running:
        assert running.settled()["reason"] == "triager: the gateway gives triager no tool named git__push_to_main"


@pytest.mark.parametrize(
    "broken", ["import nothing_like_this", "def build(resources): raise RuntimeError('no')", "x ="]
)
def test_code_that_cannot_run_makes_the_team_fail_with_the_reason(
    tmp_path: Path, standin: StandIn, runs: Runs, broken: str
) -> None:
    deployment = quick(tmp_path, standin)
    (deployment.folder / "server.py").write_text(broken)
    with runs(deployment) as running:
        health = running.settled()
    assert health["status"] == "failing"
    assert "teams.support_team" in health["reason"]


def test_a_folder_without_a_spec_still_answers_health(tmp_path: Path, standin: StandIn, runs: Runs) -> None:
    deployment = quick(tmp_path, standin)
    shutil.rmtree(deployment.folder)
    with runs(deployment) as running:
        assert "team.yaml cannot be read" in running.settled()["reason"]


def test_a_gateway_that_is_away_is_waited_for(tmp_path: Path, standin: StandIn, runs: Runs) -> None:
    standin.down = True
    with runs(quick(tmp_path, standin)) as running:
        time.sleep(0.3)
        assert running.health()["status"] == "starting"
        standin.down = False
        assert running.settled()["status"] == "ok"


async def test_a_flood_is_queued_up_to_a_limit_and_then_refused() -> None:
    import asyncio

    release, queue, together, most = asyncio.Event(), Queue(parallel=2, waiting=3), 0, 0

    class Worker:
        async def handle(self, run: Run) -> RunResult:
            nonlocal together, most
            together += 1
            most = max(most, together)
            await release.wait()
            together -= 1
            return RunResult(run.id)

    async def ask(n: int) -> str:
        try:
            return (await queue.handle(Worker(), Run(str(n), None, "x"))).text  # pyright: ignore[reportArgumentType]
        except TooBusy as busy:
            return str(busy)

    asked = [asyncio.create_task(ask(n)) for n in range(7)]
    await asyncio.sleep(0.01)
    release.set()
    answers = await asyncio.gather(*asked)
    assert answers[:5] == ["0", "1", "2", "3", "4"]
    assert all("busy" in answer for answer in answers[5:])
    assert most == 2


async def test_old_tasks_are_forgotten() -> None:
    from a2a.server.context import ServerCallContext
    from a2a.types.a2a_pb2 import Task

    store, context = RecentTasks(kept=3), ServerCallContext()
    for n in range(10):
        await store.save(Task(id=str(n)), context)
    kept = [n for n in range(10) if await store.get(str(n), context)]
    assert kept == [7, 8, 9]


def rpc(running: Running, method: str, params: dict[str, Any]) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return running.client.post("/a2a", json=body, headers={"A2A-Version": "1.0"}).json()


@pytest.mark.rows("F13", "F23")
@pytest.mark.parametrize("hole", [False, True], ids=["guarded", "the SDK's own"])
def test_work_that_has_begun_is_not_called_back_halfway(
    tmp_path: Path, standin: StandIn, runs: Runs, monkeypatch: pytest.MonkeyPatch, *, hole: bool
) -> None:
    """Without the guard the SDK stops it in the middle, and says so as if nothing were half done."""
    if hole:
        monkeypatch.delattr(TeamRequests, "on_cancel_task")
    release = threading.Event()
    standin.mind = lambda call: "done" if release.wait(10) else "waited in vain"
    message = {"role": "ROLE_USER", "messageId": "m", "parts": [{"text": "Hi"}]}
    with runs(quick(tmp_path, standin)) as running:
        running.settled()
        wish = {"message": message, "configuration": {"returnImmediately": True}}
        begun = rpc(running, "SendMessage", wish)["result"]["task"]["id"]
        answer = rpc(running, "CancelTask", {"id": begun})
        release.set()
        if hole:
            assert answer["result"]["status"]["state"] == "TASK_STATE_CANCELED"
            return
        assert answer["error"]["code"] == -32002 and "cannot be called back" in answer["error"]["message"]
        end = time.monotonic() + 10
        while (task := rpc(running, "GetTask", {"id": begun})["result"])["status"]["state"] != "TASK_STATE_COMPLETED":
            assert time.monotonic() < end, task
            time.sleep(0.02)
        assert rpc(running, "CancelTask", {"id": begun})["error"]["code"] == -32002


@pytest.mark.rows("F13", "F23")
def test_a_team_streams_and_takes_no_media_type_that_its_card_does_not_name(
    tmp_path: Path, standin: StandIn, runs: Runs
) -> None:
    message = {"role": "ROLE_USER", "messageId": "m", "parts": [{"text": "Hi"}]}
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {"message": message}}
    with runs(quick(tmp_path, standin)) as running:
        running.settled()
        assert running.client.get("/.well-known/agent-card.json").json()["capabilities"]["streaming"] is True
        said = running.client.post("/a2a", json=body, headers={"A2A-Version": "1.0"}).text
        events = [json.loads(line[5:])["result"] for line in said.splitlines() if line.startswith("data:")]
        assert [next(iter(event)) for event in events] == ["task", "statusUpdate", "artifactUpdate", "statusUpdate"]
        foreign = message | {"parts": [{"text": "Hi", "mediaType": "application/x-unknown"}]}
        assert rpc(running, "SendMessage", {"message": foreign})["error"]["code"] == -32005
