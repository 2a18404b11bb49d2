"""The measurements themselves: those of the law measure what they say, and one that fails is told without costing the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import bootstrap
from bootstrap import bench, bench_law
from bootstrap.bench import taken
from policies.law import Law

CHECKOUT = Path(bootstrap.__file__).parent.parent


@pytest.mark.rows("L3")
def test_the_gate_and_the_replay_are_measured_on_decisions_that_turn() -> None:
    found = bench_law.measure(CHECKOUT, files=20, past=3)
    assert [figure["what"] for figure in found] == [
        *["gate on a change of 20 files, without sandbox"] * 5,
        *["replay of 3 past decisions under a new law"] * 3,
    ]
    assert all(figure["value"] > 0 for figure in found)


def test_a_replay_in_which_nothing_turns_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    def the_same(law: Law) -> Law:
        return law

    monkeypatch.setattr(bench_law, "_stricter", the_same)
    with pytest.raises(RuntimeError, match="3 decisions replayed, 0 turned"):
        bench_law.measure(CHECKOUT, files=20, past=3)


def test_a_part_that_fails_is_named_and_the_others_keep_their_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = {"what": "the gate", "value": 1.0, "unit": "ms", "reach": 2}

    def broken() -> list[dict[str, Any]]:
        raise RuntimeError("0 turned")

    parts = {"law": broken, "calls": lambda: [figure]}
    assert taken(parts) == ([figure], {"law": "RuntimeError: 0 turned"})

    def these(_settings: object, _teams: int) -> dict[str, bench.Part]:
        return parts

    monkeypatch.setattr(bench, "_parts", these)
    nobody: Any = None
    assert bench.measure(nobody, teams=2, as_json=True, console=nobody) == 1
    said = capsys.readouterr()
    assert '"the gate"' in said.out and "not measured: law: RuntimeError: 0 turned" in said.err
