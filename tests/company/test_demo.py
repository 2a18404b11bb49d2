"""The demo, as a person starts it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.demo.story import STEPS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.rows("F18", "F58", "F66", "F92", "F97", "F98", "F106", "F108", "F119", "L1", "L2", "L6")
def test_the_demo_plays_the_whole_life_of_a_company_and_finds_evidence_for_every_step() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bootstrap.cli", "demo", "--json"], cwd=ROOT, capture_output=True, text=True, timeout=230
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert [step["step"] for step in told["steps"]] == ["up", *(step.__name__ for step in STEPS)]
    assert all(step["ok"] and step["evidence"] and step["seconds"] >= 0 for step in told["steps"])
