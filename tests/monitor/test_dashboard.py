"""The dashboard and the rules ask for metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mcp_servers.monitor.metrics import Metrics

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "monitoring"


@pytest.mark.rows("F68")
def test_every_metric_that_a_panel_or_a_rule_asks_for_exists() -> None:
    dashboard = json.loads((FOLDER / "grafana-dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += re.findall(r"expr: (.+)", (FOLDER / "prometheus-rules.yaml").read_text())
    there = {metric.name for metric in Metrics().registry.collect()}
    names = {name for one in asked for name in re.findall(r"\belf_\w+", one)}
    assert len(names) >= 9
    assert {re.sub(r"_(total|bucket)$", "", name) for name in names} - there == set()
