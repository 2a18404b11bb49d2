"""What a proposal waits for, in the words that the CEO passes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_servers.gateway.rehearsal.prompt import Result
from mcp_servers.gateway.rehearsal.reports import of_request
from mcp_servers.gateway.rehearsal.understanding import understand
from meta_teams.delivery.gate_words import gate_says
from meta_teams.delivery.next_step import Facts
from meta_teams.delivery.outcomes import sentence, waiting
from meta_teams.delivery.seen import ChangeRow
from policies.verdict import Missing, Verdict, allow, combine, deny, needs_approval, pending

CHECKS = pending("checks", "checks are running; it is judged again by itself")
OWNER = needs_approval(
    "approvals",
    "0 of 1 approvals of e7376bebd4a3; may approve: owner",
    Missing(approvals=1, may_approve=("owner",)),
)
TWO = needs_approval("approvals", "…", Missing(approvals=2, may_approve=("ann", "ben", "col")))


def judged(*rules: Verdict) -> dict[str, Any]:
    return combine("change", rules).to_dict()


@pytest.mark.rows("F98", "F102")
@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([CHECKS, OWNER], "the gate is still running its checks, and waits for one approval (owner)"),
        ([allow("checks", "passed"), TWO], "the gate waits for two approvals (ann, ben or col)"),
        ([CHECKS], "the gate is still running its checks"),
        (
            [deny("paths", "it touches policies/"), OWNER],
            "the gate refuses it (paths: it touches policies/), and waits",
        ),
        (
            [needs_approval("forecast", "$1,200 a month")],
            "the gate wants a person to decide (forecast: $1,200 a month)",
        ),
        ([pending("fresh", "the branch moved")], "the gate waits (fresh: the branch moved)"),
    ],
)
def test_what_a_change_waits_for_reads_as_a_person_would_say_it(rules: list[Verdict], said: str) -> None:
    assert gate_says(judged(*rules))[0].startswith(said)


def test_where_nothing_stands_in_the_way_nothing_is_said_and_no_verdict_is_not_that() -> None:
    assert gate_says(judged(allow("checks", "passed"))) == ()
    assert gate_says(None) == ("the gate has not looked at it yet",)


@pytest.mark.rows("F98")
def test_a_real_model_and_the_rehearsal_model_are_told_the_same_of_a_running_check() -> None:
    change = ChangeRow(number=1, state="open", kind="new_team", team="press-team", verdict=judged(CHECKS, OWNER))
    outcome = waiting(Facts(change=1, progress=change))
    told = "The gate is still running its checks, and waits for one approval (owner)."
    assert sentence(outcome) == f"Change 1 proposes press-team. {told}"
    reply = {"state": "input_required", "text": "…", "data": outcome.model_dump(mode="json")}
    said = of_request(Result("request_team", {}, json.dumps(reply), reply), understand("We need a press team"))
    assert f"change 1. {told} Nothing is deployed until it is approved" in said.replace(" with a forecast", "")
    assert "approvals:" not in said


def test_a_tool_servers_proposal_says_it_too() -> None:
    change = ChangeRow(number=2, state="open", kind="new_server", server="hours", verdict=judged(OWNER))
    assert "The gate waits for one approval (owner)." in sentence(waiting(Facts(change=2, progress=change)))
