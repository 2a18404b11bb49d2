"""Tests and requirements, held against each other: no test proves a row nobody asked for, no row counts as built untested."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import cast

import pytest

from policies.strict_yaml import load

ROOT = Path(__file__).resolve().parents[1]


def rows() -> dict[str, list[str]]:
    return cast(dict[str, list[str]], load((ROOT / "docs" / "requirements.yaml").read_text()))


def proved() -> dict[str, set[str]]:
    """Each row that some test's mark names, with the files that do."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "rows":
                for argument in node.args:
                    if isinstance(argument, ast.Constant):
                        found.setdefault(str(argument.value), set()).add(path.name)
    return found


def test_every_row_a_test_claims_to_prove_is_asked_for() -> None:
    strangers = {row: files for row, files in proved().items() if row not in rows()}
    assert not strangers


def test_every_row_called_built_or_partly_built_is_proved_by_a_test() -> None:
    claimed = {row for row, (state, *_) in rows().items() if state in {"built", "partly"}}
    assert claimed - set(proved()) == set()


def test_a_row_that_is_partly_built_says_what_is_missing_and_no_other_does() -> None:
    assert [row for row, entry in rows().items() if (entry[0] == "partly") != (len(entry) == 3)] == []
    assert {entry[0] for entry in rows().values()} <= {"built", "partly", "open"}


def test_the_check_sees_a_row_that_nobody_proves() -> None:
    with pytest.raises(KeyError):
        _ = proved()["F999"]
