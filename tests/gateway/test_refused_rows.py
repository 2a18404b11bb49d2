"""Every refusal is in the ledger, and no caller can fill it with them."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_servers.gateway import refused_rows
from mcp_servers.gateway.refused_rows import BACK_EVERY, COUNTED_EVERY, OWN_ROWS, STANDS_OUT, RefusedRows
from mcp_servers.monitor import causes
from memory.ledger import Entry
from tests.doubles.gateway import Office, office

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@pytest.fixture
def gateway(tmp_path: Path) -> Generator[Office]:
    with office(tmp_path) as found:
        yield found


def no(at: datetime, who: str = "x-team/editor", subject: str = "desk__secret", action: str = "tool.call") -> Entry:
    return Entry(who, action, subject, "refused", at, {"why": "not granted", "arguments_sha256": "0"})


def told(rows: list[Entry]) -> int:
    """How many refusals the rows speak of."""
    return sum(int(row.detail.get("more", 1)) for row in rows)


@pytest.mark.rows("F39", "F103")
def test_the_first_refusals_have_rows_of_their_own_and_the_last_of_them_says_what_follows() -> None:
    refused = RefusedRows()
    rows = [row for number in range(OWN_ROWS) for row in refused.rows_for(no(NOW + number * SECOND / 10))]
    assert [row.detail["why"] for row in rows] == ["not granted"] * OWN_ROWS
    assert [row.detail.get("from_here") for row in rows] == [None] * (OWN_ROWS - 1) + [
        "refusals are counted, a row a minute"
    ]
    assert refused.rows_for(no(NOW + 3 * SECOND)) == []


@pytest.mark.rows("F39", "F103")
def test_a_day_of_hammering_makes_few_rows_and_every_refusal_is_in_one_of_them() -> None:
    refused, rows, at, calls = RefusedRows(), list[Entry](), NOW, 0
    while at < NOW + timedelta(days=1):
        rows += refused.rows_for(no(at, subject=f"tool__{calls % 50}"))
        calls, at = calls + 1, at + 2 * SECOND
    rows += refused.due(at, at_once=True)
    assert told(rows) == calls
    assert len(rows) <= OWN_ROWS + 24 * 60 + timedelta(days=1) / BACK_EVERY + 1
    assert max(len(row.detail["why"]) for row in rows if "more" in row.detail) <= 9, "reasons are bounded, too"


def test_what_was_counted_is_settled_by_the_kernels_round_when_nothing_more_comes() -> None:
    refused = RefusedRows()
    for _ in range(OWN_ROWS + 512):
        refused.rows_for(no(NOW))
    assert refused.due(NOW + COUNTED_EVERY - SECOND) == []
    [row] = refused.due(NOW + COUNTED_EVERY)
    assert (row.actor, row.action, row.outcome, row.detail["more"]) == ("x-team/editor", "tool.call", "refused", 512)
    assert row.detail["why"] == {"desk__secret: not granted": 512}
    assert refused.due(NOW + 2 * COUNTED_EVERY) == []


def test_callers_and_kinds_are_counted_apart_and_a_quiet_one_gets_its_rows_back() -> None:
    refused = RefusedRows()
    for _ in range(OWN_ROWS + 1):
        refused.rows_for(no(NOW))
    assert len(refused.rows_for(no(NOW, who="y-team/editor"))) == 1
    assert len(refused.rows_for(no(NOW, action="model.call"))) == 1
    later = NOW + BACK_EVERY
    assert [row.detail.get("more") for row in refused.rows_for(no(later))] == [1, None]
    assert refused.rows_for(no(later)) == []
    refused.due(NOW + 21 * BACK_EVERY)
    refused.due(NOW + 22 * BACK_EVERY)
    assert vars(refused)["_callers"] == {}, "who has been quiet is forgotten"


@pytest.mark.rows("F57", "F100")
def test_people_are_told_of_a_caller_once_until_it_is_over() -> None:
    refused = RefusedRows()
    for number in range(OWN_ROWS + 300):
        refused.rows_for(no(NOW, subject=f"tool\n__{number % 3}"))
        refused.rows_for(no(NOW, action="model.call"))
    refused.rows_for(no(NOW, who="y-team/editor"))
    [cause] = causes.of_refusals(refused.hammering(NOW + MINUTE))
    assert (cause.key, cause.title) == ("refused:x-team/editor", "x-team/editor is refused over and over")
    assert "300 times" in cause.text and "\n" not in cause.text and "./elf log x-team" in cause.text
    assert causes.of_refusals(refused.hammering(NOW + STANDS_OUT)) == []
    for _ in range(OWN_ROWS + 1):
        refused.rows_for(no(NOW, who="unknown", action="identify"))
    [stranger] = causes.of_refusals({"unknown": refused.hammering(NOW)["unknown"]})
    assert stranger.title == "Somebody without a token is refused over and over"


FORBIDDEN = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "desk__secret", "arguments": {}}}


def hammer(gateway: Office, times: int, path: str = "/mcp", headers: dict[str, str] | None = None) -> None:
    sent = gateway.headers() if headers is None else headers
    accept = {"Accept": "application/json, text/event-stream"}
    with httpx.Client() as client:
        for _ in range(times):
            answer: Any = client.post(f"{gateway.url}{path}", json=FORBIDDEN, headers=sent | accept)
            assert answer.status_code == 401 or "error" in answer.json()


@pytest.mark.rows("F39", "F103")
@pytest.mark.parametrize(("headers", "action"), [(None, "tool.call"), ({"Authorization": "Bearer x.y.z"}, "identify")])
def test_a_team_or_a_stranger_that_hammers_the_gateway_fills_no_ledger(
    gateway: Office, headers: dict[str, str] | None, action: str
) -> None:
    hammer(gateway, OWN_ROWS + 30, headers=headers)
    assert len(gateway.ledger(action)) == OWN_ROWS
    gateway.world.now += COUNTED_EVERY
    gateway.gateway.door.sweep()
    rows = gateway.ledger(action)
    assert len(rows) == OWN_ROWS + 1
    assert (rows[-1][3], rows[-1][4]["more"]) == ("refused", 30)
    hammer(gateway, 2, headers=headers)
    gateway.gateway.door.settle_refusals()
    assert gateway.ledger(action)[-1][4]["more"] == 2, "what is counted is written down before the process ends"


def test_planted_hole_without_the_measure_every_call_makes_a_row(
    gateway: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_rows, "OWN_ROWS", 10**9)
    hammer(gateway, 2 * OWN_ROWS)
    assert len(gateway.ledger("tool.call")) == 2 * OWN_ROWS


def test_requests_that_the_guard_turns_away_are_measured_the_same_way(gateway: Office) -> None:
    for _ in range(OWN_ROWS + 5):
        httpx.post(f"{gateway.url}/mcp", json={}, headers={"Host": "evil.example"})
    assert len(gateway.ledger("request")) == OWN_ROWS
    gateway.gateway.door.settle_refusals()
    assert gateway.ledger("request")[-1][4]["more"] == 5
