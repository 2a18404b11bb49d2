"""Several wishes in one message: none is lost, and what is no wish of its own is not taken for one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_servers.gateway.rehearsal import answer, conversation
from mcp_servers.gateway.rehearsal.several import MOST, wishes_in
from meta_teams.delivery.understand import Understanding
from tests.rehearsal.test_wishes import TOOLS

APART = {
    "We need a marketing team and a tool that converts currencies": (
        "We need a marketing team",
        "We need a tool that converts currencies",
    ),
    "a legal team and a support team": ("a legal team", "We need a support team"),
    "Please create a marketing and a sales team": ("Please create a marketing team", "We need a sales team"),
    "We need sales, legal and support teams": (
        "We need a sales team",
        "We need a legal team",
        "We need a support team",
    ),
    "We need a legal team. We also need a tool that reads https://x.example/y.json": (
        "We need a legal team",
        "We need a tool that reads https://x.example/y.json",
    ),
    "We need:\n- a legal team\n- a support team that answers emails": (
        "We need:\n- a legal team",
        "We need a support team that answers emails",
    ),
    "I want a finance team as well as a tool that tells our opening hours: Monday to Friday, 9 to 17": (
        "I want a finance team",
        "We need a tool that tells our opening hours: Monday to Friday, 9 to 17",
    ),
}
ONE = [
    "We need a marketing team that writes blog posts and runs our social media",
    "We need a marketing team that works with a sales team and a support team",
    "We need a team that keeps a team calendar and a team wiki",
    "We need a support team with a manager and a tool for emails",
    "We need a team that builds a product and a tool",
    "Do we have a legal team and a support team?",
    "Which tools do we have?",
    "hello",
    "",
]


@pytest.mark.rows("F02", "F92")
@pytest.mark.parametrize(("text", "parts"), APART.items())
def test_things_wished_for_side_by_side_are_wishes_of_their_own(text: str, parts: tuple[str, ...]) -> None:
    assert wishes_in(text) == parts


@pytest.mark.parametrize("text", ONE)
def test_what_belongs_to_one_wish_stays_in_it(text: str) -> None:
    assert wishes_in(text) == (text,)


def talk(text: str, answers: dict[str, dict[str, Any]]) -> tuple[str, list[str]]:
    """The CEO's answer and the gaps that it asked the DevOps team for. `answers`: what comes back, by a word of the gap."""
    task = f"\nCurrent Task: Lead the company.\n\n<request>\n{text}\n</request>\n\n"
    messages: list[dict[str, Any]] = [{"role": "user", "content": task}]
    gaps = list[str]()
    for _ in range(12):
        reply = answer({"purpose": "manager-work", "messages": messages, "tools": TOOLS})
        message = reply["message"]
        if reply["finish_reason"] == "stop":
            return message["content"], gaps
        call = message["tool_calls"][0]["function"]
        given = json.loads(call["arguments"])
        result: dict[str, Any] = {"teams": [{"name": "press", "purpose": "writes", "skills": ["blog-writing", "seo"]}]}
        if call["name"] == "request_team":
            gaps.append(given["capability_gap"])
            data = next((data for word, data in answers.items() if word in gaps[-1]), {"outcome": "proposed"})
            result = {"state": "completed", "text": f"said of {gaps[-1]}", "data": data}
        tool = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": json.dumps(result)}
        messages += [message, tool]
    raise AssertionError("the CEO never came to an answer")


@pytest.mark.rows("F02", "F92", "F114")
def test_a_team_and_a_tool_are_both_asked_for_and_both_reported() -> None:
    said, gaps = talk(
        "We need a legal team and a tool that converts currencies",
        {
            "legal": {"outcome": "proposed", "change": 1, "team": "legal-team"},
            "tool": {"outcome": "proposed", "change": 2, "server": "exchange_rates"},
        },
    )
    assert gaps == ["We need a legal team", "We need a tool that converts currencies"]
    assert "proposed it as change 1" in said
    assert "said of We need a tool that converts currencies" in said
    assert "`./elf approve 1`" in said
    assert "`./elf approve 2`" in said


@pytest.mark.rows("F93", "F104")
@pytest.mark.parametrize("refused", ["legal", "support"])
def test_one_that_is_refused_does_not_hold_up_the_other(refused: str) -> None:
    other = {"legal": "support", "support": "legal"}[refused]
    said, gaps = talk(
        "We need a legal team and a support team",
        {
            refused: {"outcome": "refused", "reasons": ["new_teams: 5 in 24 hours"]},
            other: {"outcome": "proposed", "change": 7, "team": f"{other}-team"},
        },
    )
    assert len(gaps) == 2
    assert "Nothing was made; the DevOps team says refused: new_teams: 5 in 24 hours" in said
    assert "change 7" in said


def test_one_that_a_living_team_covers_is_said_to_be_and_the_other_is_asked_for() -> None:
    said, gaps = talk("We need a team that writes blog posts and a legal team", {})
    assert gaps == ["We need a legal team"]
    assert "`press` already does this" in said


def test_more_than_it_takes_up_at_once_is_named_and_not_dropped() -> None:
    fields = ["legal", "support", "sales", "finance", "security", "translation"]
    said, gaps = talk("We need " + ", ".join(f"a {name} team" for name in fields), {})
    assert len(gaps) == MOST
    assert "send the others again: We need a translation team" in said


def test_without_telling_wishes_apart_one_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(text: str) -> tuple[str, ...]:
        return (text,)

    monkeypatch.setattr(conversation, "wishes_in", whole)
    _, gaps = talk("We need a legal team and a support team", {})
    assert len(gaps) == 1


def test_a_yes_to_several_offers_is_asked_about() -> None:
    history = (
        "person: We need a legal team and a support team\nceo: `press` already does this. Shall I hand it to them?"
    )
    task = f"<history>\n{history}\n</history>\n<request>\nyes\n</request>"
    reply = answer({"purpose": "manager-work", "messages": [{"role": "user", "content": task}], "tools": TOOLS})
    assert reply["message"]["content"].startswith("Which one do you mean: We need a legal team or")


def test_the_devops_team_asks_for_one_at_a_time_rather_than_to_drop_one() -> None:
    text = "<request>\nWe need a legal team and a tool that converts currencies\n</request>"
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": Understanding.model_json_schema()}}
    reply = answer(
        {
            "purpose": "understand-request",
            "messages": [{"role": "user", "content": text}],
            "response_format": schema,
        }
    )
    found = Understanding.model_validate_json(reply["message"]["content"])
    assert found.intent == "unclear"
    assert "We need a tool that converts currencies" in str(found.question)
