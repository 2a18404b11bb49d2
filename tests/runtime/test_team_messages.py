"""What may cross between teams, and what a refusal says."""

from __future__ import annotations

from typing import Any

import pytest

from teams.messages import (
    MAX_TEXT,
    ChangeEvent,
    Envelope,
    MessageRefused,
    Outcome,
    PersonMessage,
    TaskAssignment,
    parse_envelope,
)

TASK: dict[str, Any] = {"kind": "task", "correlation_id": "c-1", "payload": {"text": "Write"}}


@pytest.mark.rows("F24")
def test_an_envelope_comes_back_as_it_was_sent() -> None:
    data = TASK | {
        "deadline": "2026-11-20T12:00:00Z",
        "priority": "high",
        "success_criteria": ["short"],
        "context": {"project": {"id": 7}},
    }
    envelope = parse_envelope(data)
    assert parse_envelope(envelope.to_data()) == envelope
    assert envelope.payload == TaskAssignment(text="Write")


def test_whole_numbers_that_travelled_as_floats_are_whole_again() -> None:
    event = parse_envelope({"kind": "change_event", "correlation_id": "c", "payload": {"change": 3.0}})
    assert event.payload == ChangeEvent(change=3)
    assert Outcome.model_validate({"outcome": "proposed", "change": 4.0}).change == 4


@pytest.mark.rows("F10")
def test_a_directive_carries_decision_freedom_and_check_ins() -> None:
    payload = {
        "decision": "Open a blog",
        "rationale": "Readers",
        "freedom": {"encouraged": ["tone"], "avoid": ["prices"]},
        "delegation": "Readers come back",
        "check_ins": ["first draft"],
    }
    directive = parse_envelope({"kind": "directive", "correlation_id": "c", "payload": payload})
    assert directive.to_data()["payload"]["freedom"] == {"encouraged": ["tone"], "avoid": ["prices"]}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("text", "must be an object"),
        (TASK | {"kind": "coup"}, "Nobody here understands messages of kind 'coup'; known are person_message,"),
        (TASK | {"kind": ["task"]}, "Nobody here understands messages of kind ['task']"),
        (TASK | {"kind": "x" * 10_000}, "Nobody here understands messages of kind 'xxx"),
        (TASK | {"authority": "all"}, "authority: is not a known field"),
        (TASK | {"payload": {"text": "a", "system": "b"}}, "payload.system: is not a known field"),
        (TASK | {"payload": {"change": 1}}, "payload.text: Field required"),
        (TASK | {"payload": {"text": "  "}}, "payload.text: String should have at least 1 character"),
        (TASK | {"payload": {"text": "x" * (MAX_TEXT + 1)}}, "payload.text: String should have at most 20000"),
        (TASK | {"payload": {"text": "a\x1b[31m"}}, "payload.text: contains the control character U+001B"),
        (TASK | {"payload": {"text": "a\u202eb"}}, "payload.text: contains the control character U+202E"),
        (TASK | {"correlation_id": "../x\n"}, "correlation_id: String should match pattern"),
        (TASK | {"deadline": "2026-11-20T12:00:00"}, "deadline: Input should have timezone info"),
        (TASK | {"context": {"big": "x" * 40_000}}, "context is larger than 32000 bytes"),
    ],
)
def test_what_breaks_a_rule_is_refused_in_one_short_sentence(data: object, sentence: str) -> None:
    with pytest.raises(MessageRefused) as refused:
        parse_envelope(data)
    assert sentence in str(refused.value)
    assert len(str(refused.value)) < 400


def test_emoji_and_every_script_pass() -> None:
    text = "Füße 日本語 👩‍👩‍👧 עברית\r\nzweite Zeile"
    message = PersonMessage(text=text)
    assert message.text == text.replace("\r\n", "\n")


def test_a_payload_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="instance of TaskAssignment"):
        Envelope(kind="task", correlation_id="c", payload=ChangeEvent(change=1))
