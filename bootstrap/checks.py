"""`./elf test`: format, lint, types, import contracts, the fixpoint, tests. What did not run did not pass.

./elf test            everything
./elf test --quick    without the tests that start a whole company
./elf test -k words   arguments for pytest, after the other checks are skipped
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PACKAGES = ("bootstrap", "mcp_servers", "memory", "meta_teams", "policies", "teams", "tests")


def main() -> int:
    arguments = sys.argv[1:]
    quick = arguments[:1] == ["--quick"]
    pytest = [str(BIN / "pytest"), "-n", str(os.cpu_count() or 2), "--dist", "loadfile"]
    if arguments and not quick:
        return _run("tests", [str(BIN / "pytest"), *arguments])
    checks = [
        ("format", [str(BIN / "ruff"), "format", "--check", "--quiet", *PACKAGES]),
        ("lint", [str(BIN / "ruff"), "check", "--quiet", *PACKAGES]),
        ("imports", [str(BIN / "lint-imports"), "--no-cache"]),
        ("types", [str(BIN / "basedpyright"), *PACKAGES]),
        ("tests", [*pytest, *(["-m", "not slow"] if quick else [])]),
    ]
    failed = [name for name, command in checks if _run(name, command) != 0]
    if failed:
        sys.stderr.write(f"\nFailed: {', '.join(failed)}\n")
    return 1 if failed else 0


def _run(name: str, command: list[str]) -> int:
    began = time.monotonic()
    sys.stderr.write(f"== {name}\n")
    # No setting of the person's (keys, homes, ports) may reach a test.
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("ELF_", "OPENAI_", "ANTHROPIC_"))
    }
    environment |= {
        key: os.environ[key] for key in ("ELF_GOLDEN", "ELF_CONFORMANCE", "ELF_A2A_TCK") if key in os.environ
    }
    environment |= {"PYTHONPATH": str(ROOT), "CREWAI_TRACING_ENABLED": "false", "OTEL_SDK_DISABLED": "true"}
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    sys.stderr.write(f"== {name}: {'ok' if status == 0 else 'FAILED'} ({time.monotonic() - began:.1f} s)\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
