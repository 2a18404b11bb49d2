"""Streamed answers: passed on event by event under the rules of a plain send, ended by the answer or by an error that says why."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from a2a.client.card_resolver import A2ACardResolver
from a2a.client.client import ClientConfig
from a2a.client.client_factory import ClientFactory
from a2a.helpers.proto_helpers import new_text_part
from a2a.types.a2a_pb2 import Message, Role, SendMessageRequest

from mcp_servers.gateway import a2a_message, a2a_stream
from mcp_servers.gateway.a2a_api import TeamAddress
from mcp_servers.gateway.a2a_delivery import Broken
from mcp_servers.gateway.grants import Grants
from memory import messages
from policies.budgets import Budgets
from tests.doubles.a2a_sender import BOSS, carried, only, post, send, task
from tests.doubles.gateway import Office, office
from tests.doubles.serving import free_port, serving
from tests.doubles.team import INBOUND_TOKEN, Team

DONE = "TASK_STATE_COMPLETED"


@pytest.fixture
def team() -> Team:
    return Team()


@pytest.fixture
def gateway(tmp_path: Path, team: Team) -> Generator[Office]:
    with serving(team.app()) as url, office(tmp_path) as found:
        for name in ("marketing-team", "devops", "executive"):
            found.world.addresses[name] = TeamAddress(url, INBOUND_TOKEN)
        yield found


def streaming(*args: Any, **message: Any) -> dict[str, Any]:
    return send(*args, **message) | {"method": "SendStreamingMessage"}


def about(id_: str, method: str = "SubscribeToTask") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "1", "method": method, "params": {"id": id_}}


@contextmanager
def listening(
    gateway: Office, body: Any, address: str = BOSS, *, team: str = "marketing-team", manager: bool = True
) -> Generator[Iterator[dict[str, Any]]]:
    """The answers as they come; a refusal before the first event is the only one."""
    headers = gateway.headers(address, manager=manager) | {"A2A-Version": "1.0", "Accept": "text/event-stream"}
    with (
        httpx.Client(timeout=20) as client,
        client.stream("POST", f"{gateway.url}/a2a/{team}", json=body, headers=headers) as response,
    ):
        if response.headers["content-type"] == "application/json":
            yield iter([json.loads(response.read())])
        else:
            yield (json.loads(line[5:]) for line in response.iter_lines() if line.startswith("data:"))


def heard(gateway: Office, body: Any, address: str = BOSS, **more: Any) -> list[dict[str, Any]]:
    with listening(gateway, body, address, **more) as answers:
        return list(answers)


def kinds(answers: list[dict[str, Any]]) -> list[str]:
    return [next(iter(answer.get("result", {"error": 0}))) for answer in answers]


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def nothing(*_: object) -> None:
    """Where a control stood."""


async def no_watch(*_: object) -> None:
    """Where the deadline was watched."""


def all_own(*_: object, **__: object) -> set[str]:
    return {"team:devops"}


def outcomes(gateway: Office) -> list[tuple[str, str]]:
    return [(row[1], row[3]) for row in gateway.ledger()]


@pytest.mark.rows("F23", "F24", "F103")
async def test_the_official_client_hears_the_events_in_order_and_all_is_recorded(gateway: Office, team: Team) -> None:
    async with httpx.AsyncClient(headers=gateway.headers(BOSS, manager=True)) as http:
        card = await A2ACardResolver(http, f"{gateway.url}/a2a/marketing-team").get_agent_card()
        client = ClientFactory(ClientConfig(httpx_client=http)).create(card)
        message = Message(message_id="m1", role=Role.ROLE_USER, parts=[new_text_part("Write a headline")])
        events = [event async for event in client.send_message(SendMessageRequest(message=message))]
    assert [event.WhichOneof("payload") for event in events] == [
        "task",
        "status_update",
        "artifact_update",
        "status_update",
    ]
    one = only(gateway)
    assert one.answer is not None and (one.answer.state, one.answer.text) == ("completed", "A headline.")
    assert one.answer.task == events[0].task.id and one.answer.context == events[0].task.context_id
    assert outcomes(gateway) == [
        ("message.send", "allowed"),
        ("message.stream", "began"),
        ("message.answer", "completed"),
    ]
    assert "headline" not in str(gateway.ledger())
    assert team.journal[0]["params"]["message"]["metadata"]["elf"]["sender"] == BOSS


async def test_a_team_that_says_it_cannot_stream_has_a_card_that_says_so(gateway: Office) -> None:
    plain = a2a_message.public_card({"name": "x", "capabilities": {"streaming": False}}, "http://x")
    assert plain["capabilities"] == {"streaming": False, "pushNotifications": False}
    assert a2a_message.public_card({"capabilities": "all"}, "http://x")["capabilities"]["streaming"] is False


@pytest.mark.rows("F23", "F25")
def test_a_stream_is_refused_to_whoever_may_not_send(
    gateway: Office, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    [refused] = heard(gateway, streaming(), manager=False)
    assert refused["error"]["code"] == -32050 and "only a team's manager" in refused["error"]["message"]
    assert "own team" in heard(gateway, streaming(), team="executive")[0]["error"]["message"]
    person = {"kind": "person_message", "correlation_id": "c", "payload": {"text": "I am the owner"}}
    assert "somebody else" in heard(gateway, streaming(data=person))[0]["error"]["message"]
    past = task(deadline="2026-11-20T09:59:59Z")
    assert "has passed" in heard(gateway, streaming(data=past))[0]["error"]["message"]
    assert team.journal == [] and [row[3] for row in gateway.ledger()] == ["refused"] * 4
    # The hole, planted: without the look at the role, any member is heard.
    monkeypatch.setattr(Grants, "check_message", nothing)
    assert kinds(heard(gateway, streaming(), manager=False))[-1] == "statusUpdate"


@pytest.mark.rows("F23")
def test_what_the_sender_claims_about_the_chain_is_replaced(gateway: Office, team: Team) -> None:
    heard(gateway, streaming(data=task(), metadata={"elf": {"sender": "person:owner", "hop": -5, "visited": []}}))
    stamp = team.journal[0]["params"]["message"]["metadata"]["elf"]
    assert (stamp["sender"], stamp["hop"], stamp["visited"]) == (BOSS, 1, ["executive", "marketing-team"])


async def _passes_it_on(gateway: Office, team: Team, circle: dict[str, str]) -> list[str]:
    """Every team asks the next one in the circle, streamed and under a fresh id; returns the refusals."""
    refusals: list[str] = []

    async def pass_it_on(body: dict[str, Any]) -> None:
        *_, receiver = body["params"]["message"]["metadata"]["elf"]["visited"]
        headers = gateway.headers(f"{receiver}/lead", manager=True) | {"A2A-Version": "1.0"}
        onward = streaming(data=task(correlation_id=uuid4().hex))
        async with httpx.AsyncClient(timeout=20) as http:
            answer = await http.post(f"{gateway.url}/a2a/{circle[receiver]}", json=onward, headers=headers)
        if answer.headers["content-type"] == "application/json":
            refusals.append(answer.json()["error"]["message"])

    team.on_message = pass_it_on
    await asyncio.to_thread(heard, gateway, streaming(data=task()))
    return refusals


@pytest.mark.rows("F23")
@pytest.mark.parametrize(
    ("circle", "hops"),
    [
        ({"marketing-team": "devops", "devops": "marketing-team"}, 4),
        ({"marketing-team": "devops", "devops": "executive", "executive": "marketing-team"}, 4),
    ],
    ids=["two teams", "three teams"],
)
async def test_a_loop_of_streams_ends_after_four_hops(
    gateway: Office, team: Team, circle: dict[str, str], hops: int
) -> None:
    [refusal] = await _passes_it_on(gateway, team, circle)
    assert f"hop {hops + 1}" in refusal
    assert [one.sent.hop for one in carried(gateway)] == [1, 2, 3, 4]
    assert {one.sent.correlation_id for one in carried(gateway)} == {"c-1"}


async def test_without_the_memory_of_chains_the_loop_goes_on_until_the_money_or_the_minute_ends(
    gateway: Office, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "chain_of", nothing)
    monkeypatch.setattr(a2a_message, "MAX_PER_MINUTE", 6)
    circle = {"marketing-team": "devops", "devops": "marketing-team"}
    [refusal] = await _passes_it_on(gateway, team, circle)
    assert len(carried(gateway)) == 13 and "times in a minute" in refusal


@pytest.mark.rows("F23", "F45")
def test_a_stream_is_paid_from_the_budget_of_its_business(gateway: Office, team: Team) -> None:
    gateway.world.budgets = Budgets.model_validate({"correlation_usd": 0})
    [refused] = heard(gateway, streaming(data=task()))
    assert refused["error"]["data"]["reason"] == "over_budget" and team.journal == []
    gateway.world.budgets = Budgets.model_validate({})
    assert "error" not in heard(gateway, streaming(data=task()))[-1], "the hole: a law without that line"


@pytest.mark.rows("F24")
@pytest.mark.parametrize("hole", [False, True], ids=["watched", "unwatched"])
def test_a_stream_that_outlives_its_deadline_ends_with_an_error_and_its_answer_is_void(
    gateway: Office, team: Team, monkeypatch: pytest.MonkeyPatch, *, hole: bool
) -> None:
    if hole:
        monkeypatch.setattr(a2a_stream, "_watch", no_watch)
    team.pause = 0.2
    soon = gateway.world.now + timedelta(milliseconds=300)
    answers = heard(gateway, streaming(data=task(deadline=soon.isoformat())))
    if hole:
        assert answers[-1]["result"]["statusUpdate"]["status"]["state"] == DONE
        return
    assert (kinds(answers)[0], kinds(answers)[-1]) == ("task", "error"), "what came in time was passed on"
    assert answers[-1]["error"]["data"] == {
        "reason": "deadline",
        "message": only(gateway).sent.id,
        "deadline": soon.isoformat(),
    }
    begun = answers[0]["result"]["task"]["id"]
    assert (only(gateway).answer, only(gateway).overdue) == (None, True), "the team is at work still, and on its chain"
    assert post(gateway, about(begun, "GetTask"))["result"]["status"]["state"] == "TASK_STATE_FAILED"
    until(lambda: only(gateway).answer)
    late = only(gateway).answer
    assert late is not None and (late.state, late.text) == ("late", "A headline.")
    asked = len(team.journal)
    assert post(gateway, about(begun, "GetTask"))["result"]["status"]["state"] == "TASK_STATE_FAILED"
    assert "void" in heard(gateway, about(begun))[0]["error"]["message"]
    assert len(team.journal) == asked, "what is void is not even asked for"
    assert outcomes(gateway)[-2:] == [("message.deadline", "failed"), ("message.answer", "late")]
    team.tasks.append({"id": begun, "contextId": "c", "status": {"state": DONE}})
    [listed] = post(gateway, about("", "ListTasks"))["result"]["tasks"]
    assert (listed["id"], listed["status"]["state"]) == (begun, "TASK_STATE_FAILED")


@pytest.mark.rows("F24")
def test_a_last_event_after_the_deadline_is_not_passed_on_whatever_the_timer_says(gateway: Office, team: Team) -> None:
    async def dawdle(_body: dict[str, Any]) -> None:
        gateway.world.now += timedelta(hours=1)

    team.on_message = dawdle
    by = gateway.world.now + timedelta(minutes=10)
    [refused] = heard(gateway, streaming(data=task(deadline=by.isoformat())))
    assert refused["error"]["data"]["reason"] == "deadline"
    until(lambda: only(gateway).answer)
    found = only(gateway).answer
    assert found is not None and found.state == "late"


@pytest.mark.rows("F23", "F24")
def test_a_stream_that_breaks_off_is_reported_as_broken(
    gateway: Office, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}
    for last in (RuntimeError("the process died"), None):
        team.events = [{"task": begun}, *([last] if last else [])]
        answers = heard(gateway, streaming())
        assert kinds(answers) == ["task", "error"]
        assert answers[-1]["error"]["code"] == -32053 and "broke off" in answers[-1]["error"]["message"]
        found = carried(gateway)[-1].answer
        assert found is not None and (found.state, found.task) == ("broken", "t")
    assert [row[3] for row in gateway.ledger("message.answer")] == ["broken", "broken"]

    # The hole, planted: whoever takes the end of a connection for the end of the answer takes half of it for the whole.
    read = a2a_stream._read  # pyright: ignore[reportPrivateUsage]

    async def trusting(*args: Any) -> None:
        try:
            await read(*args)
        except Broken:
            return

    monkeypatch.setattr(a2a_stream, "_read", trusting)
    assert kinds(heard(gateway, streaming())) == ["task"]


def test_a_team_that_is_away_or_says_no_is_a_plain_error(gateway: Office, team: Team) -> None:
    team.error = {"code": -32004, "message": "not today"}
    assert "says: not today" in heard(gateway, streaming())[0]["error"]["message"]
    gateway.world.addresses["marketing-team"] = TeamAddress(f"http://127.0.0.1:{free_port()}", INBOUND_TOKEN)
    assert "cannot be reached now" in heard(gateway, streaming())[0]["error"]["message"]
    assert [row[3] for row in gateway.ledger("message.answer")] == ["error", "unreachable"]


WORKING = {"task": {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}}
OTHERS = {"statusUpdate": {"taskId": "u", "contextId": "c", "status": {"state": DONE}}}
NONSENSE: dict[str, tuple[dict[str, Any] | bytes, str]] = {
    "another task's event": (OTHERS, "an event of another task"),
    "no event": ({"odd": 1}, "neither a task nor a message"),
    "an id without end": ({"task": {"id": "x" * 200}}, "an event of another task"),
    "an artifact that is none": ({"artifactUpdate": {"taskId": "t", "artifact": []}}, "without the artifact"),
    "not JSON": (b"data: <html>\n\n", "not JSON"),
    "a list": (b"data: []\n\n", "not an object"),
    "too much": (b"data: " + b"x" * 2_100_000 + b"\n\n", "too much"),
    "a line without end": (b"x" * 2_100_000, "too much"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_a_stream_of_nonsense_ends_with_an_error(gateway: Office, team: Team, name: str) -> None:
    event, why = NONSENSE[name]
    team.events = [WORKING, event, OTHERS]
    answers = heard(gateway, streaming())
    assert kinds(answers) == ["task", "error"] and why in answers[-1]["error"]["message"]
    assert [row[3] for row in gateway.ledger("message.answer")] in (["invalid"], ["unreachable"])


def test_an_event_may_come_in_pieces_and_lines(gateway: Office, team: Team) -> None:
    whole = json.dumps({"result": {"message": {"messageId": "m", "parts": [{"text": "Hi"}]}}}).encode()
    first, second = whole[:11], whole[11:]
    team.events = [b": ping\n\nid: 1\nda", b"ta: " + first + b"\ndata:", second + b"\r\n\r\n"]
    assert kinds(heard(gateway, streaming())) == ["message"]
    found = only(gateway).answer
    assert found is not None and (found.state, found.text) == ("message", "Hi")


def test_pieces_of_an_artifact_are_recorded_as_one_answer(gateway: Office, team: Team) -> None:
    def piece(text: str, *, append: bool) -> dict[str, Any]:
        artifact = {"artifactId": "a", "parts": [{"text": text}]}
        return {"artifactUpdate": {"taskId": "t", "contextId": "c", "artifact": artifact, "append": append}}

    end = {"statusUpdate": {"taskId": "t", "contextId": "c", "status": {"state": DONE}}}
    team.events = [WORKING, piece("old", append=False), piece("Half", append=False), piece("way", append=True), end]
    assert len(heard(gateway, streaming())) == 5
    found = only(gateway).answer
    assert found is not None and (found.state, found.text) == ("completed", "Half\nway")


@pytest.mark.rows("F23")
def test_a_sender_who_leaves_changes_nothing_for_the_team_and_the_record(gateway: Office, team: Team) -> None:
    team.pause = 0.1
    with listening(gateway, streaming()) as answers:
        next(answers)
    assert only(gateway).answer is None
    with gateway.database.read() as session:
        assert messages.chain_of(session, "marketing-team", "fresh") is not None, "who left did not end the chain"
    until(lambda: only(gateway).answer)
    found = only(gateway).answer
    assert found is not None and (found.state, found.text) == ("completed", "A headline.")


@pytest.mark.rows("F23", "F103")
def test_only_who_began_a_task_may_subscribe_to_it(
    gateway: Office, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.pause = 0.15
    with listening(gateway, streaming()) as answers:
        begun = next(answers)["result"]["task"]["id"]
        assert kinds(heard(gateway, about(begun)))[-1] == "statusUpdate"
        asked = len(team.journal)
        [refused] = heard(gateway, about(begun), "devops/lead")
        assert (refused["error"]["code"], len(team.journal)) == (-32001, asked)
        assert gateway.ledger()[-1][0] == "devops/lead" and gateway.ledger()[-1][3] == "refused"
        assert heard(gateway, about(begun), manager=False)[0]["error"]["code"] == -32050
        monkeypatch.setattr(messages, "senders_of", all_own)
        assert kinds(heard(gateway, about(begun), "devops/lead"))[-1] == "statusUpdate", "the hole: all are owners"


@pytest.mark.rows("F24")
def test_a_subscription_ends_with_the_deadline_of_its_message(gateway: Office, team: Team) -> None:
    team.pause = 0.5
    soon = gateway.world.now + timedelta(milliseconds=700)
    with listening(gateway, streaming(data=task(deadline=soon.isoformat()))) as answers:
        begun = next(answers)["result"]["task"]["id"]
        again = heard(gateway, about(begun))
    assert again[-1]["error"]["data"]["reason"] == "deadline"


def test_a_silent_subscription_ends_and_nobody_holds_too_many(
    gateway: Office, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = post(gateway, send())["result"]["task"]["id"]
    team.events, team.pause = [WORKING, WORKING], 20
    monkeypatch.setattr(a2a_stream, "PING_S", 0.05)
    monkeypatch.setattr(a2a_stream, "MAX_SUBSCRIPTIONS", 1)
    with listening(gateway, about(begun)) as answers:
        assert "task" in next(answers)["result"]
        [refused] = heard(gateway, about(begun))
        assert "subscribed to 1 streams" in refused["error"]["message"]
    until(lambda: team.closed)
    monkeypatch.setattr(a2a_message, "DEFAULT_TIMEOUT", timedelta(milliseconds=200))
    until(lambda: "error" not in heard(gateway, about(begun))[0])
    assert "said nothing more" in heard(gateway, about(begun))[-1]["error"]["message"]


@pytest.mark.rows("F23", "F45")
async def test_no_sender_ends_the_wait_that_holds_a_team_to_its_business(gateway: Office, team: Team) -> None:
    """What `returnImmediately` would do: the message counts as answered, and what its receiver does next is its own."""
    body = send(data=task())
    body["params"]["configuration"] = {"returnImmediately": True, "historyLength": 3}
    assert "result" in await asyncio.to_thread(post, gateway, body)
    assert team.journal[0]["params"]["configuration"] == {"historyLength": 3}
    onward = send(data=task(correlation_id="its-own"))
    assert "result" in await asyncio.to_thread(post, gateway, onward, "marketing-team/lead", team="devops")
    assert [(one.sent.hop, one.sent.correlation_id) for one in carried(gateway)] == [(1, "c-1"), (1, "its-own")]


async def test_fifty_messages_at_once_leave_the_last_place_to_one(
    gateway: Office, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(a2a_message, "MAX_MESSAGES", 5)
    headers = gateway.headers(BOSS, manager=True) | {"A2A-Version": "1.0"}
    async with httpx.AsyncClient(timeout=20, headers=headers) as http:
        url = f"{gateway.url}/a2a/marketing-team"
        answers = await asyncio.gather(*(http.post(url, json=send(data=task())) for _ in range(50)))
    assert sum("result" in answer.json() for answer in answers) == 5 == len(carried(gateway))


async def test_a_gateway_that_stops_says_so_and_writes_the_message_down_as_lost(gateway: Office, team: Team) -> None:
    team.pause = 5
    with listening(gateway, streaming()) as answers:
        next(answers)
        loop_of = gateway.gateway.relay
        [stopped] = [one for one in loop_of.carrying if "_carried" in str(one.get_coro())]
        stopped.get_loop().call_soon_threadsafe(stopped.cancel)
        assert "broke off" in (await asyncio.to_thread(list, answers))[-1]["error"]["message"]
    found = only(gateway).answer
    assert found is not None and found.state == "lost"
