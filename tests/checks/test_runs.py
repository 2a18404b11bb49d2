"""A folder in the sandbox: what the factories make passes; what is broken, or says what is not so, does not."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from mcp_servers.checks import results
from mcp_servers.checks.runs import FolderRuns
from mcp_servers.sandbox.bubblewrap import Bubblewrap
from mcp_servers.sandbox.landlocked import Landlocked
from mcp_servers.sandbox.port import Job, Limits, Outcome, Sandbox, SandboxFailed
from tests.checks.rendered import ROOT, TEAM, folders

pytestmark = pytest.mark.rows("F18", "F105")

TESTS = "tests/test_team.py"


@pytest.fixture
def sandbox() -> Sandbox:
    for adapter in (Bubblewrap, Landlocked):
        try:
            return adapter.found()
        except SandboxFailed:
            continue
    pytest.skip("this machine has no sandbox: neither bubblewrap nor Landlock")


@pytest.fixture
def runs() -> FolderRuns:
    return FolderRuns(ROOT)


@pytest.mark.parametrize("path", folders())
def test_what_the_factories_make_passes(runs: FolderRuns, sandbox: Sandbox, path: str) -> None:
    ran = runs.run(sandbox, path, folders()[path])
    assert ran.passed, ran.said
    assert "tests passed" in ran.said


def test_it_passes_by_the_kernel_alone_too(runs: FolderRuns) -> None:
    try:
        sandbox = Landlocked.found()
    except SandboxFailed as error:
        pytest.skip(str(error))
    assert runs.run(sandbox, TEAM, folders()[TEAM]).passed


TEST_OK = b"def test_it() -> None:\n    assert True\n"
LIE = f"print({json.dumps(json.dumps({'imported': ['', '.crew'], 'tests': [['test_it', 'passed']]}))}, flush=True)"

#: Files put into the team's folder, and the word for what is wrong with it.
BROKEN: dict[str, tuple[dict[str, bytes], str]] = {
    "an error in its Python": ({"crew.py": b"def build(:\n"}, "linter"),
    "an unknown name": ({"crew.py": b"def build() -> int:\n    return unknown\n"}, "linter: "),
    "a linter told to look away": ({"crew.py": b"def build() -> int:\n    return unknown  # noqa\n"}, "linter: "),
    "a linter's own settings": ({"ruff.toml": b"lint.select = []\n", "crew.py": b"import os\n"}, "linter: "),
    "a wrong type": ({"tools.py": b"TOOLS: dict[str, tuple[str, ...]] = {'editor': 1}\n"}, "type checker: "),
    "an attribute that is not there": (
        {"tasks.py": b"from teams.runtime.plan import Piece\n\nWORK = (Piece.nothing,)\n"},
        "type checker: ",
    ),
    "an argument that is not taken": (
        {"tasks.py": b"from teams.runtime.plan import Piece\n\nWORK = (Piece(nothing=1),)\n"},
        "type checker: ",
    ),
    "a module that does not import": ({"more.py": b"assert not 1\n"}, "ended without a result"),
    "a test that fails": ({TESTS: b"def test_it() -> None:\n    assert 1 == 2\n"}, "test_it failed"),
    "no test": ({TESTS: b"X = 1\n"}, "no test"),
    "a test that is skipped": (
        {TESTS: b"import pytest\n\n\n@pytest.mark.skip\ndef test_it() -> None:\n    assert True\n"},
        "test_it skipped",
    ),
    "a test that is expected to fail": (
        {TESTS: b"import pytest\n\n\n@pytest.mark.xfail\ndef test_it() -> None:\n    assert 1 == 2\n"},
        "test_it xfailed",
    ),
    "a test put aside": (
        {TESTS: TEST_OK + b"\n\ndef test_other() -> None:\n    assert True\n\n\ndel test_other\n"},
        "test_other did not run",
    ),
    "a conftest that ends everything well": (
        {"tests/conftest.py": b"import os\n\nos._exit(0)\n", TESTS: b"def test_it() -> None:\n    assert 1 == 2\n"},
        "test_it failed",
    ),
    "settings that find no test": (
        {
            "tests/pytest.ini": b"[pytest]\npython_functions = nothing_*\n",
            TESTS: b"def test_it() -> None:\n    assert 1 == 2\n",
        },
        "test_it failed",
    ),
    "an exit in a module": ({"more.py": b"import os\n\nos._exit(0)\n"}, "ended without a result"),
    "an exit in a test": (
        {TESTS: b"import os\n\n\ndef test_it() -> None:\n    os._exit(0)\n"},
        "ended without a result",
    ),
    "an exit between tests": (
        {
            TESTS: b"import atexit\nimport os\n\natexit.register(os._exit, 0)\n\n\ndef test_it() -> None:\n    assert 1 == 2\n"
        },
        "test_it failed",
    ),
    "an endless loop": ({"more.py": b"while True:\n    pass\n"}, "processor time"),
    "a result of one's own, and not for all tests": (
        {
            "more.py": f"import os\n\n{LIE}\nos._exit(0)\n".encode(),
            TESTS: TEST_OK + b"\n\ndef test_other() -> None:\n    assert 1 == 2\n",
        },
        "test_other did not run",
    ),
    "a call to the network": (
        {TESTS: b"import socket\n\n\ndef test_it() -> None:\n    socket.create_connection(('127.0.0.1', 1))\n"},
        "Operation not permitted",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_does_not_pass(
    runs: FolderRuns, sandbox: Sandbox, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_servers.checks.runs._LIMITS", Limits(cpu_seconds=6, address_bytes=8_000_000_000))
    files, words = BROKEN[what]
    ran = runs.run(sandbox, TEAM, {**folders()[TEAM], **files})
    assert not ran.passed
    assert words in ran.said


def test_a_folder_cannot_put_itself_in_the_runners_place(runs: FolderRuns, sandbox: Sandbox) -> None:
    """Its files lie below its own path, whatever they are called, and the company's own are written last."""
    ran = runs.run(sandbox, TEAM, {**folders()[TEAM], "inside.py": b"X = 1\n", "pytest.py": b"X = 1\n"})
    assert ran.passed, ran.said
    with pytest.raises(SandboxFailed, match="leads out"):
        runs.run(sandbox, TEAM, {**folders()[TEAM], "../../inside.py": b""})


def test_a_tree_that_lies_in_full_is_believed_by_the_runner_and_caught_by_its_shape(
    runs: FolderRuns, sandbox: Sandbox
) -> None:
    """The planted hole: code that may do anything can write its own result. That is why generated code may not do anything."""
    from mcp_servers.checks import code_shape

    names = sorted(results.named_tests(folders()[TEAM]))
    modules = [
        "",
        ".agents",
        ".agents.editor",
        ".agents.researcher",
        ".agents.writer",
        ".crew",
        ".server",
        ".tasks",
        ".tools",
        ".more",
    ]
    told = json.dumps({"imported": modules, "tests": [[name, "passed"] for name in names]})
    lie = f"import os\nimport sys\n\nsys.stdout.write({told!r})\nsys.stdout.flush()\nos._exit(0)\n"
    assert runs.run(sandbox, TEAM, {**folders()[TEAM], "more.py": lie.encode()}).passed
    assert list(code_shape.look("more.py", lie)) != []


def test_the_version_changes_with_everything_that_decides(tmp_path: Path) -> None:
    for folder in ("mcp_servers", "policies", "teams/runtime"):
        for file in ROOT.glob(f"{folder}/**/*.py"):
            (tmp_path / file.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, tmp_path / file.relative_to(ROOT))
    before = FolderRuns(tmp_path).version
    assert FolderRuns(tmp_path).version == before
    for path in ("teams/runtime/plan.py", "mcp_servers/checks/results.py", "mcp_servers/factories/team.py"):
        (tmp_path / path).write_text((tmp_path / path).read_text() + "\n# changed\n")
        after = FolderRuns(tmp_path).version
        assert after != before, path
        before = after


# ---------------------------------------------------------------------- reading the answer, whatever it is


def told(last: object, status: int = 0, **changes: object) -> Outcome:
    line = last if isinstance(last, str) else json.dumps(last)
    fields = {"ended": "exited", "status": status, "stdout": f"noise\n{line}\n".encode(), "stderr": b"", "seconds": 0.1}
    return Outcome(**(fields | changes))  # pyright: ignore[reportArgumentType]


GOOD = {"imported": [".crew"], "tests": [["test_a", "passed"], ["test_b[x]", "passed"]]}
EXPECTED = {"test_a": 1, "test_b": 1}


def test_the_whole_truth_passes() -> None:
    assert results.tests(told(GOOD), EXPECTED, (".crew",)) is None


@pytest.mark.parametrize(
    "done",
    [
        told(GOOD, status=1),
        told(GOOD, ended="wall"),
        told(GOOD, ended="memory"),
        told({**GOOD, "tests": []}),
        told({**GOOD, "tests": [["test_a", "passed"]]}),
        told({**GOOD, "tests": [["test_a", "passed"], ["test_b", "failed"]]}),
        told({**GOOD, "tests": [["test_a", "passed"], ["test_b", "PASSED"]]}),
        told({**GOOD, "tests": {"test_a": "passed", "test_b": "passed"}}),
        told({**GOOD, "tests": [["test_a"], ["test_b"]]}),
        told({**GOOD, "tests": [["test_a", 1]]}),
        told({**GOOD, "imported": []}),
        told({"tests": GOOD["tests"]}),
        told(["passed"]),
        told("null"),
        told("all passed"),
        told(GOOD, stdout=b""),
        told(GOOD, stdout=b"\xff\xfe"),
        told("[" * 100_000),
    ],
)
def test_nothing_else_passes(done: Outcome) -> None:
    assert results.tests(done, EXPECTED, (".crew",)) is not None


def test_a_tool_that_is_not_there_is_the_sandboxs_failure_and_no_verdict_on_the_folder(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxFailed):
        sandbox.run(Job((str(Path(sys.prefix, "bin", "no-such-linter")),), {}))
