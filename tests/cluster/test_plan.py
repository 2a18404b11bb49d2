"""What the reconciler decides for one team, from facts alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mcp_servers.cluster import plan as planning
from mcp_servers.cluster.plan import Incident, MarkCrashed, MarkHealthy, Observed, Renew, Start, Stop, plan

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
AGO = timedelta(minutes=5)
SERVING = Observed("d1", "good", NOW - AGO, NOW - AGO, None, None, True, "ok", NOW - AGO)
STARTING = Observed("d2", "new", NOW - timedelta(seconds=1), None, None, None, True, "starting", NOW)


def ended(one: Observed, how: str, seconds_ago: float = 0.0, reason: str = "it broke") -> Observed:
    return replace(one, alive=False, ended_at=NOW - timedelta(seconds=seconds_ago), ended_as=how, reason=reason)


def test_a_team_of_main_that_does_not_run_is_started() -> None:
    assert plan("good", [], [], NOW) == [Start("good")]


def test_a_healthy_team_of_the_right_tree_is_left_alone() -> None:
    assert plan("good", [SERVING], ["good"], NOW) == []


@pytest.mark.rows("F119")
def test_a_team_whose_process_is_gone_is_written_off_and_started_at_once() -> None:
    dead = replace(SERVING, alive=False)
    assert plan("good", [dead], ["good"], NOW) == [MarkCrashed("d1")]
    assert plan("good", [ended(SERVING, "crashed")], ["good"], NOW) == [Start("good")]


@pytest.mark.rows("F58", "F62")
def test_a_new_tree_starts_beside_the_serving_one_which_ends_only_when_the_new_one_is_healthy() -> None:
    assert plan("new", [SERVING], ["good"], NOW) == [Start("new")]
    assert plan("new", [SERVING, STARTING], ["good"], NOW) == []
    healthy = replace(STARTING, health="ok")
    assert plan("new", [SERVING, healthy], ["good"], NOW) == [MarkHealthy("d2")]
    marked = replace(healthy, healthy_at=NOW)
    assert plan("new", [SERVING, marked], ["new", "good"], NOW) == [Stop("d1", "replaced")]


@pytest.mark.rows("F58", "F62")
def test_a_tree_that_fails_its_health_check_ends_while_the_old_one_serves_on_and_an_incident_opens() -> None:
    failing = replace(STARTING, health="failing", reason="no such model")
    assert plan("new", [SERVING, failing], ["good"], NOW) == [Stop("d2", "no such model", "failed")]
    failed = ended(STARTING, "failed", reason="no such model")
    assert plan("new", [SERVING, failed], ["good"], NOW) == [Incident("new", "no such model")]


@pytest.mark.rows("F58")
def test_while_main_is_sick_and_nothing_serves_the_last_verified_tree_is_started() -> None:
    failed = ended(STARTING, "failed")
    assert plan("new", [failed], ["good", "older"], NOW) == [Incident("new", "it broke"), Start("good")]


def test_a_sick_tree_without_any_verified_one_is_an_incident_and_is_not_started_again() -> None:
    assert plan("new", [ended(STARTING, "failed")], [], NOW) == [Incident("new", "it broke")]


def test_a_tree_that_crashes_before_it_was_healthy_gets_three_tries() -> None:
    crash = ended(STARTING, "crashed", seconds_ago=120)
    assert plan("new", [crash] * 2, [], NOW) == [Start("new")]
    assert isinstance(plan("new", [crash] * 3, [], NOW)[0], Incident)


def test_a_tree_that_never_becomes_healthy_ends_at_its_deadline() -> None:
    slow = replace(STARTING, started_at=NOW - planning.START_DEADLINE - timedelta(seconds=1))
    found = plan("new", [slow], [], NOW)
    assert isinstance(found[0], Stop)
    assert found[0].ended_as == "failed"


@pytest.mark.rows("F119")
def test_a_verified_team_that_stops_answering_is_restarted_after_a_while_and_never_called_sick() -> None:
    silent = replace(SERVING, health="unreachable", health_since=NOW - timedelta(seconds=5))
    assert plan("good", [silent], ["good"], NOW) == []
    silent = replace(silent, health_since=NOW - timedelta(seconds=11))
    found = plan("good", [silent], ["good"], NOW)
    assert isinstance(found[0], Stop)
    assert plan("good", [ended(SERVING, "failed")], ["good"], NOW) == [Start("good")]


@pytest.mark.parametrize(
    ("crashes", "seconds", "starts"), [(1, 0, True), (2, 0, False), (2, 1, True), (4, 3, False), (4, 4, True)]
)
def test_a_team_that_keeps_crashing_waits_longer_each_time(crashes: int, seconds: float, starts: bool) -> None:
    short_lived = replace(SERVING, healthy_at=NOW - timedelta(seconds=seconds + 1))
    history = [ended(short_lived, "crashed", seconds)] * crashes
    assert bool(plan("good", history, ["good"], NOW)) is starts


def test_endings_that_were_no_fault_of_the_team_do_not_slow_its_start() -> None:
    assert plan("good", [ended(SERVING, "stopped")] * 6, ["good"], NOW) == [Start("good")]


def test_a_team_that_left_main_is_stopped() -> None:
    assert plan(None, [SERVING], ["good"], NOW) == [Stop("d1", "the team left main")]


def test_an_old_deployment_is_replaced_by_a_fresh_one_of_the_same_tree() -> None:
    old = replace(SERVING, started_at=NOW - planning.ROTATE_AFTER - timedelta(hours=1), tokens_at=NOW)
    assert plan("good", [old], ["good"], NOW) == [Start("good")]
    fresh = replace(SERVING, deployment_id="d2", started_at=NOW)
    assert plan("good", [old, fresh], ["good"], NOW) == [Stop("d1", "replaced")]


HOUR = planning.TOKEN_LIFETIME


@pytest.mark.rows("F39")
def test_tokens_are_renewed_at_half_their_life_and_not_before() -> None:
    young = replace(SERVING, tokens_at=NOW - HOUR * 0.49)
    assert plan("good", [young], ["good"], NOW) == []
    half = replace(SERVING, tokens_at=NOW - HOUR * 0.5)
    assert plan("good", [half], ["good"], NOW) == [Renew("d1")]
    unknown = replace(SERVING, started_at=NOW - HOUR)
    assert plan("good", [unknown], ["good"], NOW) == [Renew("d1")], "an earlier kernel started it"
    assert plan("good", [half], ["good"], NOW, token_lifetime=HOUR * 2) == []


@pytest.mark.rows("F39", "F119")
def test_a_deployment_whose_tokens_cannot_be_renewed_is_replaced_before_they_end() -> None:
    failing = replace(SERVING, tokens_at=NOW - HOUR * 0.9, renewal_failed=True)
    assert plan("good", [failing], ["good"], NOW) == [Renew("d1")], "there is time to try again"
    late = replace(failing, tokens_at=NOW - HOUR * 0.92)
    assert plan("good", [late], ["good"], NOW) == [Start("good"), Renew("d1")]
    slept = replace(late, tokens_at=NOW - HOUR * 9, renewal_failed=False)
    assert plan("good", [slept], ["good"], NOW) == [Renew("d1")], "a machine that slept renews, it does not replace"


@pytest.mark.rows("F39")
def test_the_tree_that_serves_while_main_is_sick_gets_new_tokens_too() -> None:
    failed = ended(STARTING, "failed", reason="no such model")
    worn = replace(SERVING, tokens_at=NOW - HOUR)
    assert plan("new", [worn, failed], ["good"], NOW) == [Incident("new", "no such model"), Renew("d1")]
    hopeless = replace(worn, renewal_failed=True)
    stop = Stop("d1", "its tokens could not be renewed")
    assert plan("new", [hopeless, failed], ["good"], NOW) == [Incident("new", "no such model"), stop]


def test_what_is_ended_gets_no_tokens() -> None:
    worn = replace(SERVING, tokens_at=NOW - HOUR)
    assert plan(None, [worn], [], NOW) == [Stop("d1", "the team left main")]
