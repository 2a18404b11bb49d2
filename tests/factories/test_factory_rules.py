"""Specs, names, forecasts, and the factory as a tool server."""

from __future__ import annotations

import keyword
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.fastmcp.exceptions import ToolError

from mcp_servers.factories.forecast import Assumptions, Price, UnknownPrice, forecast
from mcp_servers.factories.names import is_free, team_name
from mcp_servers.factories.server import create_factory_server
from mcp_servers.factories.spec_files import BadSpec, dump_spec, load_spec, parse_spec
from teams.spec import RESERVED_NAMES, TeamSpec
from tests.factories.specs import content_team, support_team

CHEAP = Price(Decimal("1"), Decimal("5"))


def data(**changes: Any) -> dict[str, Any]:
    return content_team().model_dump(mode="json") | changes


def member(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "role": "R", "goal": "G", "backstory": "B"} | changes


@pytest.mark.parametrize("spec", [content_team(), support_team()], ids=lambda spec: spec.framework)
def test_a_spec_is_read_as_it_was_written_and_written_as_it_was_read(spec: TeamSpec) -> None:
    text = dump_spec(spec)
    assert load_spec(text) == spec
    assert dump_spec(load_spec(text)) == text


def test_equal_amounts_are_written_alike() -> None:
    texts = {dump_spec(content_team(daily_budget_usd=amount)) for amount in ("10", "10.0", 10, Decimal("10.00"))}
    assert len(texts) == 1


@pytest.mark.rows("F05", "F09", "F11")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"members": [member("a", manager=True), member("b")]}, "members: a team has 3 to 7 members; add the roles"),
        ({"members": [member(f"m{n}", manager=n == 0) for n in range(12)]}, "split this one by function"),
        ({"members": [member(f"m{n}", manager=n < 2) for n in range(3)]}, "exactly one manager; this one has 2"),
        ({"members": [member(f"m{n}", manager=n == 0) for n in range(5)]}, "one is the skeptic"),
        ({"framework": "autogen"}, "framework: Input should be 'crewai' or 'langgraph'"),
        ({"daily_budget_usd": "-1"}, "daily_budget_usd: Input should be greater than or equal to 0"),
        ({"name": "../etc"}, "name: String should match pattern"),
        ({"name": "class"}, "'class' is a Python keyword"),
        ({"name": "runtime"}, "'runtime' is reserved"),
        ({"name": "\u0430dmin-team"}, "name: String should match pattern"),
        ({"name": "team;rm"}, "name: String should match pattern"),
        ({"purpose": "a\u202eb"}, "invisible character U+202E"),
        ({"budget": 3}, "budget: there is no such field; remove it"),
        ({"work": []}, "work: "),
        ({"process": "delivery"}, "set framework to langgraph"),
    ],
)
def test_a_spec_that_breaks_a_rule_cannot_be_constructed_and_says_what_to_do(
    changes: dict[str, Any], error: str
) -> None:
    with pytest.raises(BadSpec) as bad:
        parse_spec(data(**changes))
    assert any(error in line for line in bad.value.errors), bad.value.errors


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("name: a\nname: b\n", "given twice"),
        ("- a\n", "a team spec is a mapping"),
        ("", "a team spec is a mapping"),
        ("[" * 100, "nested deeper"),
        ("x" * 300_000, "allowed"),
    ],
)
def test_yaml_traps_are_refused(text: str, error: str) -> None:
    with pytest.raises(BadSpec, match=error):
        load_spec(text)


@pytest.mark.rows("F08")
@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("We need a marketing team that writes blog posts and runs our social media", "marketing-team"),
        ("Please build something for invoices and payment reminders", "invoices-payment-reminders-team"),
        ("class", "class-team"),
        ("Büro für Öffentlichkeitsarbeit", "buro-fur-offentlichkeitsarbeit-team"),
        ("3D printing", "the-3d-printing-team"),
        ("日本語", "new-77710a-team"),
        ("'; DROP DATABASE; --", "drop-database-team"),
        ("../../etc/passwd", "etc-passwd-team"),
        ("internationalization internationalization internationalization", "internationalization-team"),
    ],
)
def test_a_description_becomes_a_safe_name(description: str, name: str) -> None:
    assert team_name(description) == name


@given(st.text(max_size=300), st.sets(st.sampled_from(["marketing-team", "a-team", "class-team", "x-team"])))
def test_every_name_is_a_team_could_have(description: str, taken: set[str]) -> None:
    name = team_name(description, taken)
    assert content_team(name=name).name == name
    assert name not in taken | RESERVED_NAMES
    assert not keyword.iskeyword(name.replace("-", "_"))
    assert team_name(description, taken) == name


def test_a_taken_name_gets_a_number_and_stays_short() -> None:
    taken = {"marketing-team", "marketing-team-2"}
    assert team_name("marketing team", taken) == "marketing-team-3"
    long = team_name("internationalization", {team_name("internationalization")})
    assert len(long) <= 40
    assert is_free(long, taken)


def test_a_megabyte_of_description_costs_no_time() -> None:
    began = time.perf_counter()
    team_name("x" * 1_000_000)
    assert time.perf_counter() - began < 0.5


@pytest.mark.rows("F95")
def test_a_forecast_is_calls_times_tokens_times_price_and_says_so() -> None:
    expected = forecast(content_team(), {"default": CHEAP}, Assumptions(10, 2, 1_000, 1_000))
    # Two pieces of two calls and the manager's answer: 5 calls of 0.006 dollars, 10 requests, 30 days.
    assert expected.usd_month == Decimal("9.00")
    assert "5 calls a request to default ($1 in, $5 out a million)" in expected.basis


def test_a_forecast_never_exceeds_what_the_daily_budget_lets_through() -> None:
    dear = Price(Decimal("1000"), Decimal("1000"))
    expected = forecast(content_team(daily_budget_usd="2"), {"default": dear})
    assert expected.usd_month == Decimal("60.00")
    assert "bounded by the daily budget of $2" in expected.basis


def test_a_model_without_a_price_is_a_no() -> None:
    with pytest.raises(UnknownPrice, match="anthropic/claude-haiku-4-5"):
        forecast(support_team(), {"openai/gpt-5-mini": CHEAP})


@pytest.mark.rows("F14")
async def test_the_tool_server_validates_forecasts_and_renders() -> None:
    server = create_factory_server({"default": CHEAP}.get)
    assert [tool.name for tool in await server.list_tools()] == [
        "validate_team_spec",
        "forecast_team_cost",
        "render_team",
        "describe_server_spec",
        "validate_server_spec",
        "render_server",
    ]
    good, bad = data(), data(framework="autogen", extra=1)

    async def call(tool: str, spec: dict[str, Any]) -> dict[str, Any]:
        answer: Any = await server.call_tool(tool, {"spec": spec})
        return answer[1]

    assert await call("validate_team_spec", good) == {"ok": True, "errors": []}
    refused = await call("validate_team_spec", bad)
    assert not refused["ok"]
    assert "extra: there is no such field; remove it" in refused["errors"]
    assert Decimal((await call("forecast_team_cost", good))["usd_month"]) > 0
    files = (await call("render_team", good))["files"]
    assert "crew.py" in {file["path"] for file in files}
    for tool in ("forecast_team_cost", "render_team"):
        with pytest.raises(ToolError, match="there is no such field"):
            await server.call_tool(tool, {"spec": bad})
    with pytest.raises(ToolError, match="price of the model 'openai/gpt-99' is unknown"):
        await server.call_tool("forecast_team_cost", {"spec": data(model="openai/gpt-99")})
