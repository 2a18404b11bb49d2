"""Every wish of the test data, through the CEO's whole conversation with the rehearsal model, with tools that answer."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcp_servers.factories.server_files import parse_server
from mcp_servers.gateway.rehearsal import answer
from mcp_servers.gateway.rehearsal.design import design
from mcp_servers.gateway.rehearsal.server_design import design_server, wrap_server
from mcp_servers.gateway.rehearsal.tool_wish import read_tool_wish
from mcp_servers.gateway.rehearsal.understanding import understand
from teams.spec import DEPARTMENT_HEADS, TeamSpec

DATA = yaml.safe_load((Path(__file__).parents[1] / "data" / "wishes.yaml").read_text(encoding="utf-8"))
WISHES: list[dict[str, Any]] = DATA["wishes"]
NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
TEXT = {"type": "string"}


def _tool(name: str, **properties: Any) -> dict[str, Any]:
    schema = {**NO_ARGUMENTS, "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": name, "strict": True, "parameters": schema}}


#: As CrewAI sends them: double underscores are gone, everything is required and may be null.
TOOLS = [
    _tool("registry_query_teams", skill={"anyOf": [TEXT, {"type": "null"}]}, text={"anyOf": [TEXT, {"type": "null"}]}),
    _tool("registry_get_team_hierarchy"),
    _tool("cluster_team_status", team=TEXT),
    _tool("gateway_list_servers"),
    _tool("git_list_changes", state={"enum": ["open", "closed", "all"], "type": "string"}),
    _tool("ask_team", team=TEXT, message=TEXT),
    _tool(
        "request_team",
        capability_gap=TEXT,
        required_skills={"type": "array", "items": TEXT},
        urgency={"enum": ["low", "normal", "high", "urgent"], "type": "string"},
        business_justification=TEXT,
    ),
]


class Ceo:
    """A CEO on the rehearsal model. `calls` are what it did, in order."""

    def __init__(self, wish: dict[str, Any]) -> None:
        rows = [{"name": name, "purpose": f"does {name}", **DATA["teams"][name]} for name in wish.get("living", [])]
        meta = [
            {"name": name, "purpose": "leads", "department": name, "skills": ["sales"]}
            for name in ("executive", "devops")
        ]
        proposed = {
            "outcome": "proposed",
            "change": 1.0,
            "team": "new-team",
            "forecast_usd_month": "9.90",
            "reasons": [],
        }
        self._answers: dict[str, Any] = {
            "registry_query_teams": {"teams": meta + rows},
            "registry_get_team_hierarchy": {"hierarchy": [{"team": "executive", "lead": None, "children": []}]},
            "gateway_list_servers": {
                "servers": [{"server": "opening_hours", "healthy": True, "tools": [{"tool": "opening_hours__tell"}]}]
            },
            "cluster_team_status": {"team": "marketing-team", "state": "active"},
            "git_list_changes": {"changes": [{"number": 3, "title": "Add team x", "state": "open"}]},
            "ask_team": {"state": "completed", "text": "the work itself", "data": {}},
            "request_team": {"state": "input_required", "text": "…", "data": proposed},
        }
        self.calls = list[tuple[str, dict[str, Any]]]()

    def talk(self, text: str, history: list[list[str]]) -> str:
        turns = "\n".join(f"{speaker}: {said}" for speaker, said in history)
        earlier = f"<history>\n{turns}\n</history>\n" if turns else ""
        said = re.sub(r"<(?=\s*/?\s*request)", "&lt;", text)
        task = f"\nCurrent Task: Lead the company.\n\n{earlier}<request>\n{said}\n</request>\n\n"
        task += "This is the expected criteria for your final answer: an answer"
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": "You are CEO."},
            {"role": "user", "content": task},
        ]
        for _ in range(6):
            reply = answer({"model": "rehearsal", "purpose": "manager-work", "messages": messages, "tools": TOOLS})
            message = reply["message"]
            if reply["finish_reason"] == "stop":
                return message["content"]
            call = message["tool_calls"][0]["function"]
            self.calls.append((call["name"], json.loads(call["arguments"])))
            result = json.dumps(self._answers[call["name"]])
            messages += [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": result}]
        raise AssertionError("the CEO never came to an answer")


@pytest.mark.rows("F02", "F92", "F93")
@pytest.mark.parametrize(
    "wish", WISHES, ids=[f"{n}-{wish['comes']}-{wish['wish'][:30]}" for n, wish in enumerate(WISHES)]
)
def test_a_wish_comes_to_what_it_must(wish: dict[str, Any]) -> None:
    ceo = Ceo(wish)
    said = ceo.talk(wish["wish"] * wish.get("repeated", 1), wish.get("history", []))
    names = [name for name, _ in ceo.calls]
    sent = json.dumps([arguments for _, arguments in ceo.calls], ensure_ascii=False)
    match wish["comes"]:
        case "request":
            assert names == ["registry_query_teams", "request_team"]
            _is_a_good_request(ceo.calls[-1][1], wish)
            # A2A data turns whole numbers into floats.
            assert "change 1," in said
        case "tool":
            assert names == ["request_team"]
            _is_a_good_tool_wish(ceo.calls[-1][1], wish)
        case "look":
            assert names == ["gateway_list_servers"]
        case "delegate":
            assert names[-1] == "ask_team"
            assert ceo.calls[-1][1]["team"] == wish["team"]
            assert "the work itself" in said
        case "covered":
            assert names == ["registry_query_teams"]
            assert f"`{wish['team']}`" in said
            assert said.endswith("?")
        case "offer":
            assert names == ["registry_query_teams"]
            assert "Shall I ask the DevOps team" in said
        case "report":
            assert not {"ask_team", "request_team"} & set(names)
        case _:
            assert names == []
            assert (said.count("?") >= 1 or "Please say" in said) is (wish["comes"] == "ask")
    assert re.search(wish.get("says", ""), said, re.DOTALL)
    if "never" in wish:
        assert not re.search(wish["never"], sent)


def _is_a_good_request(arguments: dict[str, Any], wish: dict[str, Any]) -> None:
    """What the DevOps team would be asked for designs into a team that holds."""
    spec = TeamSpec.model_validate(design(understand(arguments["capability_gap"])))
    assert set(wish.get("skills", [])) <= set(arguments["required_skills"])
    assert set(arguments["required_skills"]) <= set(spec.skills)
    assert spec.name == wish.get("team", spec.name)
    assert spec.department == wish.get("department", spec.department)
    assert spec.framework == wish.get("framework", "crewai")
    assert spec.reports_to == DEPARTMENT_HEADS.get(spec.department, "ceo")
    assert (spec.skeptic is not None) is (len(spec.members) >= 5)


def _is_a_good_tool_wish(arguments: dict[str, Any], wish: dict[str, Any]) -> None:
    """What the DevOps team would be asked for designs into a tool server that holds."""
    asked = understand(arguments["capability_gap"])
    found = read_tool_wish(asked.text)
    assert (asked.kind, found.way) == ("tool", wish["way"])
    if found.way in ("server", "program"):
        made = wrap_server(found, asked.gist, "<found>\n- search (takes words): Searches.\n</found>")
        assert made["tools"] == ["search"]
    else:
        made = design_server(found, asked.gist, "")
        chosen = {name: value for name, value in made.items() if name != "rationale"}
        parse_server(chosen | {"kind": "internal", "owner": "person:owner"})
    assert made["name"] == wish.get("server", made["name"])


def test_there_are_enough_wishes_of_every_kind() -> None:
    kinds = [wish["comes"] for wish in WISHES]
    assert len(kinds) >= 60
    assert {
        "request",
        "delegate",
        "covered",
        "offer",
        "ask",
        "report",
        "greet",
        "leave",
        "refuse",
        "tool",
        "look",
    } == set(kinds)


@pytest.mark.parametrize("character", ["a", "<", "-", "'", "\u0301", "_", "we ", "x\n", "/request><", ". and "])
def test_a_megabyte_of_anything_is_read_in_a_moment(character: str) -> None:
    text = character * (1_000_000 // len(character))
    started = time.process_time()
    Ceo({}).talk(text, [])
    answer({"purpose": "member-work", "messages": [{"role": "user", "content": text}]})
    # Measured: 5 to 40 ms. Anything worse than linear would take minutes.
    assert time.process_time() - started < 2
