"""A generated folder in a sandbox: linted, typed, then imported and its own tests run. Each step is a run of its own, over a fresh tree.

The tree holds the folder and the company's own code that it stands on, copied from this checkout, so that nothing of the checkout
itself is within reach.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mcp_servers.checks import inside, results
from mcp_servers.sandbox.port import Job, Limits, Outcome, Sandbox

_PYTHON = sys.executable
#: Of linters: real faults, not taste. The files' own requests to look away are not heard.
_RULES = "E9,F,B,PLE,S102,S301,S307,S602,S604,S605,BLE"
_STANDS_ON = {
    "teams": ("teams/*.py", "teams/runtime/*.py", "teams/resilience/*.py"),
    "meta_teams": (
        "teams/*.py",
        "teams/runtime/*.py",
        "teams/resilience/*.py",
        "meta_teams/*.py",
        "meta_teams/delivery/*.py",
    ),
    "mcp_servers/catalog": (
        *("teams/*.py", "policies/*.py", "mcp_servers/*.py", "mcp_servers/catalog/*.py"),
        *("mcp_servers/catalog_runtime/*.py", "mcp_servers/factories/*.py", "mcp_servers/gateway/*.py"),
    ),
}
#: What else decides how a run ends: the same bytes are run again when one of these changed.
_DECIDES = ("mcp_servers/checks/*.py", "mcp_servers/sandbox/*.py", "mcp_servers/factories/**/*", "requirements.lock")
_LIMITS = Limits(
    wall_seconds=60,
    cpu_seconds=30,
    memory_bytes=1_500_000_000,
    address_bytes=8_000_000_000,
    processes=48,
    file_bytes=8_000_000,
    total_bytes=32_000_000,
    total_files=500,
    output_bytes=400_000,
)


@dataclass(frozen=True)
class Ran:
    """How the whole went. `said` is for the verdict: what passed, or the first thing that did not."""

    passed: bool
    said: str
    seconds: float


@dataclass(frozen=True)
class FolderRuns:
    """`checkout` is where the company's own code lies."""

    checkout: Path

    @property
    def version(self) -> str:
        """A hash of everything that decides but the folder itself: the code it stands on, the checks, the factories, the packages."""
        return self._version

    @cached_property
    def _version(self) -> str:
        patterns = {pattern for patterns in _STANDS_ON.values() for pattern in patterns} | set(_DECIDES)
        files = {path for pattern in patterns for path in self.checkout.glob(pattern) if path.is_file()}
        whole = hashlib.sha256(sys.version.encode())
        for path in sorted(files):
            whole.update(str(path.relative_to(self.checkout)).encode() + b"\0" + path.read_bytes())
        return whole.hexdigest()[:16]

    def run(self, sandbox: Sandbox, path: str, files: Mapping[str, bytes]) -> Ran:
        """Runs the folder at `path` (`teams/x`, `mcp_servers/catalog/x`), whose files are by path inside it. Raises `SandboxFailed`."""
        zone = path.rsplit("/", 1)[0]
        tree = {f"{path}/{name}": data for name, data in files.items()}
        # The company's own files last: nothing of the folder can take their place.
        tree |= self._platform(zone)
        expected, modules = results.named_tests(files), _modules(files)
        steps: tuple[tuple[str, list[str], Callable[[Outcome], str | None]], ...] = (
            ("linted", [_tool("ruff"), "check", *_QUIET, "--select", _RULES, path], results.lint),
            ("typed", [_tool("ty"), "check", "--python", sys.prefix, *_TY, path], results.lint),
            (
                f"{len(modules)} modules imported and {len(expected)} tests passed",
                [_PYTHON, "-I", "-B", "inside.py", path.replace("/", "."), path, *modules],
                lambda done: results.tests(done, expected, modules),
            ),
        )
        began = time.monotonic()
        for what, command, judge in steps:
            done = sandbox.run(Job(tuple(command), tree, environment=_ENVIRONMENT, limits=_LIMITS))
            if (wrong := judge(done)) is not None:
                tool = {"linted": "the linter: ", "typed": "the type checker: "}.get(what, "")
                return Ran(False, f"{tool}{wrong}", time.monotonic() - began)
        said = f"{', '.join(step[0] for step in steps)}, in {sandbox.name.split(':')[0]}"
        return Ran(True, said, time.monotonic() - began)

    def _platform(self, zone: str) -> dict[str, bytes]:
        found = {path for pattern in _STANDS_ON[zone] for path in self.checkout.glob(pattern)}
        if zone == "mcp_servers/catalog":
            found.add(self.checkout / "mcp_servers/__init__.py")
        files = {str(path.relative_to(self.checkout)): path.read_bytes() for path in sorted(found)}
        return files | {"inside.py": Path(inside.__file__).read_bytes()}


_QUIET = ("--isolated", "--no-cache", "--ignore-noqa", "--output-format", "concise", "--quiet")
_TY = ("--no-progress", "--output-format", "concise", "--error-on-warning")
_ENVIRONMENT: Mapping[str, Any] = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTHONHASHSEED": "0",
    "NO_COLOR": "1",
    "RAYON_NUM_THREADS": "2",
}


def _tool(name: str) -> str:
    return str(Path(sys.prefix, "bin", name))


def _modules(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """The folder's modules as they are imported: the empty name is the package itself."""
    names = [
        path.removesuffix(".py") for path in sorted(files) if path.endswith(".py") and not path.startswith("tests/")
    ]
    return tuple("".join(f".{part}" for part in name.split("/") if part != "__init__") for name in names)
