"""Runs inside a sandbox, at the root of a tree: imports a generated package and runs its tests, and says what became of each.

    python -I inside.py PACKAGE FOLDER MODULE…

Its last line is JSON: `{"imported": […], "tests": [[name, outcome], …]}`. Whoever reads it knows that the code under test could have
written that line too; `results.py` says what is made of it.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest


class Heard:
    """A pytest plugin that keeps what became of each test: the first word that is not `passed`, else that."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        name = str(report.nodeid).rsplit("::", 1)[-1]
        said = "xfailed" if getattr(report, "wasxfail", None) is not None else str(report.outcome)
        if report.when == "call" or said != "passed":
            self.outcomes[name] = said if self.outcomes.get(name, "passed") == "passed" else self.outcomes[name]


def main() -> int:
    package, folder, *modules = sys.argv[1:]
    sys.path.insert(0, str(Path.cwd()))
    imported = [name for name in modules if importlib.import_module(f"{package}{name}")]
    heard = Heard()
    options = [
        *("-q", "-x", "--tb=short", "--noconftest", "-c", "/dev/null", "--rootdir", ".", "--confcutdir", "."),
        *("--import-mode=importlib", "-o", "asyncio_default_fixture_loop_scope=function"),
        *("-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto"),
    ]
    status = pytest.main([*options, f"{folder}/tests"], plugins=[heard])
    sys.stdout.flush()
    print(json.dumps({"imported": imported, "tests": list(heard.outcomes.items())}))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
