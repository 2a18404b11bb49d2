"""What a sender is told of work that failed: the gateway's reason where it has one, never what the team was working with."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from teams.runtime import process
from teams.runtime.failed import MOST_CHARACTERS, sentence
from teams.runtime.gateway_client import GatewayError
from tests.factories.specs import support_team
from tests.runtime.conftest import Running, deploy
from tests.runtime.standin import Refusal, StandIn

SECRET = "the CEO's whole prompt, with everything in it"
STOPPED = "The run 'r' of support-team asked the same thing 10 times and is going round in circles."
Runs = Callable[..., AbstractContextManager[Running]]


@pytest.mark.rows("F22", "F24")
def test_a_sender_reads_the_gateways_reason_and_where_the_rest_is_but_no_prompt(
    tmp_path: Path, standin: StandIn, runs: Runs
) -> None:
    def refused(_call: Any) -> str:
        raise Refusal(403, "loop_stopped", STOPPED)

    standin.mind = refused
    with runs(deploy(support_team(), tmp_path, standin.url)) as running:
        running.settled()
        task = running.send(SECRET)
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    said = json.dumps(task["artifacts"])
    assert STOPPED in said and "diagnostics.log" in said and SECRET not in said


@pytest.mark.rows("F22")
def test_a_frameworks_own_words_are_shown_to_nobody_and_the_gateways_are_found_below_them() -> None:
    bare = RuntimeError(f"Tool ask_team failed during '{SECRET}'")
    assert sentence(bare, "executive", "r-1") == (
        "The work failed inside the team (RuntimeError). The whole of it is in teams/executive/diagnostics.log "
        "in the company's home, under run r-1."
    )
    outer = ExceptionGroup(SECRET, [bare])
    outer.__cause__ = GatewayError("no money is left;\n it opens tomorrow. " + "x" * 2_000)
    text = sentence(outer, "executive", "r-1")
    assert text.startswith("The work failed: no money is left; it opens tomorrow. xxx") and SECRET not in text
    assert len(text) < MOST_CHARACTERS + 200
    looped = RuntimeError("a")
    looped.__context__ = other = RuntimeError("b")
    other.__context__ = looped
    assert "RuntimeError" in sentence(looped, "executive", "r-1")


def test_planted_hole_the_exceptions_own_text_shows_the_prompt(
    tmp_path: Path, standin: StandIn, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(call: Any) -> str:
        raise Refusal(500, "x", f"echo: {call.body['messages'][-1]['content']}")

    def bare(error: Exception, *_: object) -> str:
        return f"The work failed: {error}"

    monkeypatch.setattr(process, "sentence", bare)
    standin.mind = failing
    with runs(deploy(support_team(), tmp_path, standin.url)) as running:
        running.settled()
        assert SECRET in json.dumps(running.send(SECRET)["artifacts"])
