"""The company's home: one folder with its database, its repository, its keys and what its teams wrote.

The keys are made here, once, and stay here: readable by their owner alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mcp_servers.sandbox.stage import remove_tree

KEYS = ("gateway", "operator", "metrics", "forge-elf-devops", "forge-elf-gate", "forge-owner")
NEEDED_BYTES = 200_000_000
_CLAIM_TRIES = 10


class HomeUnusable(RuntimeError):
    """The home cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Home:
    path: Path

    @property
    def forge(self) -> Path:
        return self.path / "forge"

    @property
    def log(self) -> Path:
        return self.path / "log" / "kernel.log"

    @property
    def scratch(self) -> Path:
        """What the kernel makes for the moment: empty whenever no kernel runs, or from the next start on."""
        return self.path / "tmp"

    def prepare(self) -> None:
        """Makes what is missing; leaves what is there. Raises `HomeUnusable`."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)
            for name in ("keys", "log", "run", "teams", "deploy", "tmp"):
                (self.path / name).mkdir(exist_ok=True)
            for name in KEYS:
                self._make_key(name)
        except OSError as error:
            raise HomeUnusable(
                f"the company's home {self.path} cannot be written ({error.strerror}); "
                "set ELF_HOME to a folder of yours with room, and start again"
            ) from error
        stat = os.statvfs(self.path)
        if stat.f_bavail * stat.f_frsize < NEEDED_BYTES:
            raise HomeUnusable(
                f"the disk of {self.path} is full: free 200 MB, or set ELF_HOME elsewhere, and start again"
            )

    def key(self, name: str) -> str:
        """A secret of the kernel's; `HomeUnusable` if the home has not been prepared."""
        try:
            text = (self.path / "keys" / name).read_text().strip()
        except OSError as error:
            raise HomeUnusable(f"there is no company in {self.path} yet: run ./elf up") from error
        if len(text) < 32:
            raise HomeUnusable(f"the key {self.path / 'keys' / name} is damaged: remove that file and run ./elf up")
        return text

    def _make_key(self, name: str) -> None:
        path = self.path / "keys" / name
        if path.exists() and path.stat().st_size >= 32:
            return
        self.keep_key(name, secrets.token_urlsafe(48))

    def keep_key(self, name: str, text: str) -> None:
        """Written whole under another name first: a kill leaves either what was there or a complete key."""
        path = self.path / "keys" / name
        scratch = path.with_name(f".{name}.{secrets.token_hex(4)}")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.rename(path)

    def claim(self) -> IO[str]:
        """Makes this process the home's one kernel until the returned file is closed. Raises `HomeUnusable`."""
        file = (self.path / "run" / "lock").open("a")
        # Whoever only asks whether a kernel runs holds the lock for an instant; that is no reason to give up.
        for _ in range(_CLAIM_TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(0.05)
            else:
                self._forget_the_last_kernel()
                return file
        file.close()
        raise HomeUnusable(f"a company already runs in {self.path}; './elf down' ends it")

    def _forget_the_last_kernel(self) -> None:
        """Removes what a killed one left: a process id that may be anybody's by now, tokens of deployments that have ended, scratch."""
        for left in (self.path / "run").glob("*.json"):
            left.unlink(missing_ok=True)
        for left in self.scratch.iterdir():
            remove_tree(left)

    @property
    def is_claimed(self) -> bool:
        """Does a kernel run here? Asked of the lock, so a kernel that was killed does not count."""
        lock = self.path / "run" / "lock"
        if not lock.exists():
            return False
        with lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    def write_kernel(self, facts: dict[str, Any]) -> None:
        (self.path / "run" / "kernel.json").write_text(json.dumps(facts))

    def kernel(self) -> dict[str, Any] | None:
        """`{pid, port}` of the running kernel, or None."""
        if not self.is_claimed:
            return None
        try:
            return json.loads((self.path / "run" / "kernel.json").read_text())
        except (OSError, ValueError):
            return None
