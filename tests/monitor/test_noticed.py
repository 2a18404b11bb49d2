"""What passed the gateway that a person should hear of is told, once for one cause."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mcp_servers.gateway.noticed import MOST, Noticed
from tests.monitor.world import NOW


@pytest.mark.rows("F57", "L4")
def test_one_cause_is_one_however_often_it_comes_and_is_gone_an_hour_after_the_last() -> None:
    noticed = Noticed()
    for minute in range(30):
        noticed.false_counts("openai/x", f"it counts {minute}", NOW + timedelta(minutes=minute))
    noticed.loop("The run 'a' of b-team", "The run 'a' of b-team asked the same thing 10 times.", NOW)
    found = {cause.key: cause for cause in noticed.causes(NOW + timedelta(minutes=30))}
    assert set(found) == {"counts:openai/x", "loop:The run 'a' of b-team"}
    assert found["counts:openai/x"].text.startswith("It counts 0."), "the words of the first time stay"
    assert [cause.key for cause in noticed.causes(NOW + timedelta(minutes=70))] == ["counts:openai/x"]
    assert noticed.causes(NOW + timedelta(minutes=90)) == []


@pytest.mark.rows("F57")
def test_there_is_an_end_to_causes() -> None:
    noticed = Noticed()
    for number in range(3 * MOST):
        noticed.loop(f"run {number}", "why", NOW)
    assert len(noticed.causes(NOW)) == MOST
