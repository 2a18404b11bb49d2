"""A company whose model is an OpenAI-compatible server of one's own: the same path, with tool calls and structured output.

It exports its traces too: a company that does has to start, and its spans have to arrive.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from bootstrap.demo.stage import throw_away_company, wait_for
from bootstrap.settings import read_settings
from tests.doubles.capable import NAME, CapableModel
from tests.doubles.collector import Collector
from tests.doubles.serving import serving

WISH = "We need a marketing team that writes blog posts and runs our social media"


@pytest.mark.rows("F43", "F44", "F04", "F68")
def test_a_company_builds_a_team_and_gives_it_work_with_the_model_server_it_is_given(tmp_path: Path) -> None:
    model, collector = CapableModel(), Collector()
    with serving(model.app()) as url, serving(collector.app) as collecting:
        settings = read_settings({"ELF_MODEL_BASE_URL": f"{url}/v1"})
        with throw_away_company(settings, Console(quiet=True), otel_endpoint=collecting) as stage:
            said = stage.company.post("/say", {"text": WISH})
            assert not said["rehearsal"]
            change = next(one for one in said["evidence"] if one["kind"] == "change")
            assert stage.company.post(f"/changes/{change['change']}/approve", {"head": change["head"]})["merged"]

            def active() -> bool:
                team = stage.team(change["team"])
                return team is not None and team["state"] == "active"

            wait_for("the team active", active)
            answered = stage.company.post("/ask", {"team": change["team"], "text": "Write a headline"})
            costs = stage.company.get("/costs")
    assert answered["state"] == "completed"
    assert not answered["rehearsal"]
    assert any(request.get("tools") for request in model.journal)
    shapes = [request["response_format"]["type"] for request in model.journal if request.get("response_format")]
    assert "json_schema" in shapes
    assert {row["model"] for row in costs["rows"]} == {f"local/{NAME}"}
    assert costs["calls"] == len(model.journal)
    # What waited for export is sent as the company ends.
    assert f"chat local/{NAME}" in {span.name for span in collector.spans}
