"""What the sandbox's answers are worth, decided outside. Pure.

Exit status and output are claims of the code that ran. A tree that lies about its own tests cannot be caught by looking at what it
says; it can only be kept from being able to: its bytes are the factory's, its code has no other shape than templates make
(`code_shape.py`), and its configuration (conftest, pytest.ini, plugins) is not read. What can be known outside is asked for here:
every test that stands in the files must be named and must have passed, and there must be one.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any, cast

from mcp_servers.sandbox.port import Outcome

_LIMITS = {
    "cpu": "used all its processor time",
    "wall": "took too long",
    "memory": "used too much memory",
    "processes": "started too many processes",
    "files": "wrote too much",
    "output": "said too much",
}


def cut_short(done: Outcome) -> str | None:
    """Why it did not end by itself."""
    return _LIMITS.get(done.ended)


def lint(done: Outcome) -> str | None:
    """What a linter or a type checker found wrong, None if nothing. It is our own program, and ran before any of the change's code."""
    if (why := cut_short(done)) is not None:
        return f"it {why}"
    if done.status == 0:
        return None
    lines = [line for line in _text(done.stdout).splitlines() if line.strip()] or _text(done.stderr).splitlines()
    return (lines[0] if lines else f"status {done.status}")[:300]


def tests(done: Outcome, expected: Mapping[str, int], modules: tuple[str, ...]) -> str | None:
    """Why the tests do not count as passed, None if they do. `expected` is how often each test stands in the files (`named_tests`)."""
    if (why := cut_short(done)) is not None:
        return f"its tests: it {why}"
    if not expected:
        return "it has no test; nothing was shown"
    said = _said(done.stdout)
    if said is None:
        return f"its tests ended without a result (status {done.status}): {_last_words(done)}"
    passed = {name for name, outcome in said if outcome == "passed"}
    if bad := [f"{name} {outcome}" for name, outcome in said if outcome != "passed"]:
        return f"of its tests {', '.join(bad)[:160]}: {_last_words(done)}"
    if missing := sorted(set(expected) - {name.split("[", 1)[0] for name in passed}):
        return f"the test {missing[0][:100]} did not run; what did not run did not pass"
    if done.status != 0:
        return f"its tests ended with status {done.status}: {_last_words(done)}"
    if missing := sorted(set(modules) - set(_imported(done.stdout))):
        return f"{missing[0][:100]} was not imported"
    return None


def named_tests(files: Mapping[str, bytes]) -> dict[str, int]:
    """The tests that stand in a folder's files (`tests/test_*.py`), by name."""
    found: dict[str, int] = {}
    for path, data in files.items():
        name = path.rsplit("/", 1)[-1]
        if not (path.startswith("tests/") and name.startswith("test_") and name.endswith(".py")):
            continue
        for node in ast.parse(data.decode("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                found[node.name] = found.get(node.name, 0) + 1
    return found


def _said(stdout: bytes) -> list[tuple[str, str]] | None:
    """The (test, outcome) pairs of the last line; None if it is not such a line."""
    pairs = _last_line(stdout).get("tests")
    if not isinstance(pairs, list):
        return None
    found: list[tuple[str, str]] = []
    for pair in cast("list[object]", pairs):
        if not isinstance(pair, list) or [type(word) for word in cast("list[object]", pair)] != [str, str]:
            return None
        name, outcome = cast("list[str]", pair)
        found.append((name, outcome))
    return found


def _imported(stdout: bytes) -> list[str]:
    names = _last_line(stdout).get("imported")
    return [str(name) for name in cast("list[object]", names)] if isinstance(names, list) else []


def _last_line(stdout: bytes) -> dict[str, Any]:
    lines = _text(stdout).strip().splitlines()
    try:
        said: object = json.loads(lines[-1]) if lines else None
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


def _last_words(done: Outcome) -> str:
    """The last line that says what went wrong, without colour."""
    lines = [line.strip() for line in (_text(done.stdout) + "\n" + _text(done.stderr)).splitlines()]
    told = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ")]
    errors = told or [line for line in lines if "Error" in line] or [line for line in lines if line]
    return (errors or ["it said nothing"])[-1][:200]


def _text(data: bytes) -> str:
    """Foreign output as text without control characters."""
    decoded = data.decode("utf-8", "replace")
    return "".join(char if char.isprintable() or char == "\n" else " " for char in decoded)
