"""The nine project messages: what each carries, how a manager reads and sends them, and how a team says no."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from teams.messages import Envelope, MessageRefused, Reply, parse_envelope
from teams.project_messages import PROJECT_PAYLOADS
from teams.runtime.conversation import Conversation
from teams.runtime.gateway_client import GatewayError
from teams.runtime.prompts import request_block
from teams.runtime.toolbox import Toolbox
from teams.runtime.work import Run

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
ABOUT = {"about": "Spring campaign", "text": "Readers shall come back"}
DUE = "2026-12-01T12:00:00+00:00"
NINE: dict[str, dict[str, Any]] = {
    "project_assignment": {"deliverables": ["a plan", "ten posts"], "due": DUE},
    "task_assignment": {"depends_on": ["the plan"], "due": DUE},
    "progress": {"percent": 40},
    "dependency_complete": {"results": ["posts/1.md"]},
    "blocker": {"needed": "the price list"},
    "help_request": {"skills": ["statistics"]},
    "resource_request": {"resource": "model budget", "amount": "$5 more a day"},
    "deadline_warning": {"due": DUE, "expected": "2026-12-03T12:00:00+00:00"},
    "hand_off": {"open_points": ["the title"], "results": ["posts/2.md"]},
}


def message(kind: str, **changes: Any) -> dict[str, Any]:
    terms = {"deadline": DUE, "success_criteria": ["ten posts are live"], "context": {"budget": "none left"}}
    return {"kind": kind, "correlation_id": "c-1", "payload": ABOUT | NINE.get(kind, {})} | terms | changes


@pytest.mark.rows("B-project-messages", "F24")
@pytest.mark.parametrize("kind", NINE)
def test_each_of_the_nine_carries_criteria_deadline_context_and_its_own_details(kind: str) -> None:
    envelope = parse_envelope(message(kind))
    assert parse_envelope(json.loads(json.dumps(envelope.to_data()))) == envelope
    for name, value in NINE[kind].items():
        assert json.loads(json.dumps(envelope.to_data()))["payload"][name] in (value, str(value).replace("+00:00", "Z"))
    read = request_block(Run("t", envelope, "executive/cmo"))
    for words in ("Spring campaign", "Readers shall come back", "ten posts are live", "none left", "2026-12-01"):
        assert words in read
    details = [str(one) for value in NINE[kind].values() for one in (value if isinstance(value, list) else [value])]
    assert all(one[:10] in read for one in details)


def test_they_are_nine() -> None:
    assert set(PROJECT_PAYLOADS) == set(NINE) and len(NINE) == 9


@pytest.mark.rows("B-project-messages")
@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (message("project_assignment", success_criteria=[]), "needs success_criteria"),
        (message("hand_off", success_criteria=[]), "needs success_criteria"),
        (message("progress", payload=ABOUT | {"percent": 101}), "payload.percent: Input should be less than"),
        (message("blocker", payload=ABOUT), "payload.needed: Field required"),
        (
            message("progress", payload=ABOUT | {"percent": 1, "approved": True}),
            "payload.approved: is not a known field",
        ),
        (message("hand_off", payload=ABOUT | {"grants": ["git__*"]}), "payload.grants: is not a known field"),
        (message("deadline_warning", payload=ABOUT | {"due": "2026-12-01T12:00:00"}), "payload.due: "),
    ],
)
def test_a_project_message_that_lacks_what_its_kind_needs_or_claims_more_is_refused(
    data: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(MessageRefused) as refused:
        parse_envelope(data)
    assert sentence in str(refused.value)


class Wire:
    """Stands in for the gateway: keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str, Envelope]] = []
        self.down = False

    async def send(self, member: str, team: str, text: str, envelope: Envelope) -> Reply:
        if self.down:
            raise GatewayError("the message was not delivered")
        self.sent.append((member, team, text, envelope))
        return Reply(state="completed", text="We will.")


def box(kind: str = "task_assignment", **terms: Any) -> tuple[Wire, Toolbox, dict[str, Any]]:
    wire: Any = Wire()
    run = Run("t-1", parse_envelope(message(kind, **terms)), "executive/cmo")
    toolbox = Toolbox(wire, Conversation("marketing-team", StringIO(), lambda: NOW), "marketing-team", run)
    return wire, toolbox, {tool.name: tool for tool in toolbox.manager_tools("editor")}


@pytest.mark.rows("B-project-messages", "F25")
@pytest.mark.parametrize("kind", NINE)
async def test_a_manager_sends_each_of_them_with_one_tool(kind: str) -> None:
    wire, toolbox, tools = box()
    flat = {"team": "content-team", "kind": kind, "success_criteria": ["done"], **ABOUT, **NINE[kind]}
    answer = json.loads(await tools["send_message"].call(flat))
    assert answer["state"] == "completed"
    [(member, team, text, envelope)] = wire.sent
    assert (member, team, text, envelope.kind) == ("editor", "content-team", ABOUT["text"], kind)
    assert envelope.correlation_id == "c-1" and envelope.to_data()["success_criteria"] == ["done"]
    assert [effect.kind for effect in toolbox.effects] == ["sent_message"]


async def test_what_a_model_forgets_is_told_to_it_and_nothing_is_sent() -> None:
    wire, _, tools = box()
    for flat, told in (
        ({"kind": "blocker", "team": "content-team", **ABOUT}, "needed: Field required"),
        ({"kind": "hand_off", "team": "content-team", **ABOUT}, "needs success_criteria"),
        ({"kind": "coup", "team": "content-team", **ABOUT}, "kind: Input should be"),
        ({"kind": "progress", "team": "../x", **ABOUT}, "team: String should match"),
        ({"kind": "help_request", "team": "content-team", "answer_by": "soon", **ABOUT}, "Invalid isoformat"),
    ):
        assert told in await tools["send_message"].call(flat)
    assert wire.sent == []
    wire.down = True
    answer = await tools["send_message"].call({"kind": "help_request", "team": "content-team", **ABOUT})
    assert json.loads(answer)["state"] == "failed"


@pytest.mark.rows("F24")
async def test_no_answer_may_be_due_after_our_own_is() -> None:
    wire, _, tools = box(deadline=DUE)
    later = (datetime.fromisoformat(DUE) + timedelta(days=3)).isoformat()
    flat = {"kind": "help_request", "team": "content-team", **ABOUT}
    await tools["send_message"].call(flat | {"answer_by": later})
    await tools["send_message"].call(flat | {"answer_by": NOW.isoformat()})
    assert [sent[3].deadline for sent in wire.sent] == [datetime.fromisoformat(DUE), NOW]


@pytest.mark.rows("F10")
async def test_a_team_may_push_back_on_what_it_is_told_with_its_reason_and_what_would_work() -> None:
    payload = {"decision": "Publish on Friday", "rationale": "Trade fair", "delegation": "Readers know us"}
    for kind, terms in (("directive", {"payload": payload}), ("project_assignment", {}), ("hand_off", {})):
        _, toolbox, tools = box(kind, **terms)
        await tools["push_back"].call({"reason": "Two days are not enough.", "proposal": "Four days"})
        result = toolbox.result("whatever the model says then")
        assert (result.state, result.text) == ("rejected", "Two days are not enough.\nInstead: Four days")
        assert result.to_data()["push_back"]["reason"] == "Two days are not enough."


async def test_a_question_cannot_be_pushed_back_only_answered() -> None:
    _, toolbox, tools = box("help_request")
    assert "push_back" not in tools
    assert toolbox.result("42").state == "completed"
