"""Grants by argument, rates by member and tool: decided on the parsed body, before anything is called."""

from __future__ import annotations

import time
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from mcp_servers.gateway.rates import Rates
from mcp_servers.gateway.refusals import Refused
from policies.access import Access, CallRate, Grant
from policies.patterns import matches
from tests.doubles.gateway import START, Office, office

EDITOR, TOOL = "marketing-team/editor", "desk__whoami"


@pytest.fixture
def gateway(tmp_path: Path) -> Generator[Office]:
    with office(tmp_path) as found:
        yield found


def call(gateway: Office, arguments: dict[str, Any], tool: str = TOOL, who: str = EDITOR) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return httpx.post(f"{gateway.url}/mcp", json=body, headers=gateway.headers(who)).json()


@pytest.mark.rows("F39")
def test_a_grant_holds_only_for_arguments_that_fit_its_pattern(gateway: Office) -> None:
    fits = Grant(to="marketing-team/*", tools=(TOOL,), arguments={"greeting": "auto/[a-z]+"})
    gateway.world.grants = (fits,)
    assert "result" in call(gateway, {"greeting": "auto/branch"})
    for wrong in (
        {"greeting": "main"},
        {"greeting": "auto/branch\nmain"},
        {},
        {"greeting": ["auto/a"]},
        {"greeting": None},
    ):
        error = call(gateway, wrong)["error"]
        assert error["code"] == -32050 and "patterns for greeting" in error["message"], wrong
    assert [row[3] for row in gateway.ledger("tool.call")] == ["allowed", *["refused"] * 5]
    gateway.world.grants = (Grant(to="marketing-team/*", tools=(TOOL,)),)
    assert "result" in call(gateway, {"greeting": "main"}), "the pattern alone stood in the way"


def test_an_argument_inside_an_object_can_be_meant() -> None:
    grant = Grant(to="*/*", tools=("git__x",), arguments={"spec.name": "a+", "dry": "true", "number": "[0-9]+"})
    assert grant.allows({"spec": {"name": "aa"}, "dry": True, "number": 12})
    assert not grant.allows({"spec": {"name": "ab"}, "dry": True, "number": 12})
    assert not grant.allows({"spec": "aa", "dry": True, "number": 12})
    assert not grant.allows({"spec": {"name": "aa"}, "dry": True, "number": 1.5})


@pytest.mark.parametrize("pattern", ["(?=a)", r"(a)\1", "a)|(?:b", "a{1000}{1000}", "(", "x" * 201, "a\nb", ""])
def test_a_pattern_that_could_be_slow_or_escape_its_anchors_is_no_law(pattern: str) -> None:
    with pytest.raises(ValidationError):
        Grant(to="*/*", tools=("git__x",), arguments={"a": pattern})


def test_what_is_catastrophic_elsewhere_is_linear_here() -> None:
    began = time.perf_counter()
    assert not matches("(a+)+b", "a" * 4096)
    assert not matches("a*", "a" * 4097), "values without end match nothing"
    assert time.perf_counter() - began < 0.5


@pytest.mark.rows("F39")
def test_a_member_calls_a_tool_as_often_as_the_law_says_and_is_told_when_again(gateway: Office) -> None:
    access = Access(
        grants=gateway.world.grants,
        calls_per_minute=100,
        rates=(CallRate(to="marketing-team/*", tools=("desk__*",), calls_per_minute=3),),
    )
    object.__setattr__(gateway.gateway.door.grants, "access", lambda: access)
    for _ in range(3):
        assert "result" in call(gateway, {})
    error = call(gateway, {})["error"]
    assert error["code"] == -32056 and error["data"]["reason"] == "rate_limited"
    assert error["data"]["opens_at"] == (START + timedelta(seconds=60)).isoformat()
    assert "result" in call(gateway, {}, who="marketing-team/writer"), "a limit is each member's own"
    gateway.world.now = START + timedelta(seconds=30)
    assert "error" in call(gateway, {})
    gateway.world.now = START + timedelta(seconds=61)
    assert "result" in call(gateway, {})


def test_a_clock_turned_back_gives_no_second_helping() -> None:
    rates = Rates()
    for _ in range(2):
        rates.take("a/b", "x__y", 2, START)
    with pytest.raises(Refused):
        rates.take("a/b", "x__y", 2, START - timedelta(hours=1))
    rates.take("a/b", "x__y", 2, START + timedelta(seconds=60))


def test_zero_calls_a_minute_are_none() -> None:
    with pytest.raises(Refused, match="0 a minute"):
        Rates().take("a/b", "x__y", 0, START)


def test_without_a_limit_there_is_none() -> None:
    access = Access(grants=())
    assert access.rate("a", "b", "x__y") is None
    limited = Access(grants=(), calls_per_minute=5, rates=(CallRate(to="a/*", tools=("x__*",), calls_per_minute=9),))
    assert (limited.rate("a", "b", "x__y"), limited.rate("z", "b", "x__y")) == (9, 5)
