"""The planted hole: runs a job like a sandbox would, with nothing in its way."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from mcp_servers.sandbox.port import Job, Outcome

#: Attacks are written small enough to end by themselves before this.
_PATIENCE_S = 20


class OpenField:
    """No sandbox at all."""

    name = "none"

    def run(self, job: Job) -> Outcome:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="elf-open-") as root:
            tree, work = Path(root, "tree"), Path(root, "work")
            work.mkdir()
            for path, data in job.files.items():
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_bytes(data)
            environment = {**os.environ, **job.environment, "TMPDIR": str(work), "HOME": str(work)}
            done = subprocess.run(
                job.command, cwd=tree, env=environment, capture_output=True, timeout=_PATIENCE_S, check=False
            )
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return Outcome("exited", status, done.stdout, done.stderr, time.monotonic() - began)
