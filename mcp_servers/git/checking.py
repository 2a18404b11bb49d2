"""Runs proposed folders in a sandbox, in the background: asked at each judging, it answers at once with what is known now.

What came of a run is a fact in the database, by the folder's exact bytes and the version of everything else that decides: the same bytes
are never run twice, and a restart finds the answer. What could not be run is no fact; it is tried again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from mcp_servers.checks.runs import Ran
from mcp_servers.sandbox.choice import Chosen
from mcp_servers.sandbox.port import Sandbox, SandboxFailed
from memory import checks, ledger
from memory.session import Database
from policies.facts import CheckRun

ACTOR = "kernel:checks"
#: A run that a sandbox could not make is tried again after this.
TRY_AGAIN = timedelta(seconds=60)

log = logging.getLogger(__name__)


class Runs(Protocol):
    """What runs a folder: see `mcp_servers.checks.runs.FolderRuns`."""

    @property
    def version(self) -> str: ...

    def run(self, sandbox: Sandbox, path: str, files: Mapping[str, bytes]) -> Ran: ...


@dataclass(frozen=True)
class Folder:
    """One folder of exact bytes: its path in the repository, the hash of its tree, and its files, read only if it has to be run."""

    path: str
    tree: str
    files: Callable[[], Mapping[str, bytes]]

    @property
    def key(self) -> tuple[str, str]:
        return self.path, self.tree


class Checks(Protocol):
    """What the merge desk asks."""

    def ask(self, number: int, folder: Folder) -> CheckRun:
        """What is known of the folder, which change `number` proposes. Not known yet: a run is begun, and the answer is `running`."""
        ...

    def wait(self, seconds: float) -> None:
        """Until nothing runs, or so long."""
        ...

    def forget(self, number: int) -> None:
        """The change has ended: what was not begun for it is not begun."""
        ...

    @property
    def finished(self) -> int:
        """How many runs have ended: when it grows, a change may be judged otherwise."""
        ...


class BackgroundChecks:
    """One run at a time, in a thread of its own. `choose` finds the sandbox, once, when it is first needed."""

    def __init__(
        self, database: Database, runs: Runs, choose: Callable[[], Chosen], now: Callable[[], datetime]
    ) -> None:
        self._database, self._runs, self._choose, self._now = database, runs, choose, now
        self._turn = threading.Condition()
        self._waiting: dict[tuple[str, str], tuple[int, Folder]] = {}
        #: What could not be run: why, and when that was.
        self._not_executed: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._running: tuple[str, str] | None = None
        self._choosing = threading.Lock()
        self._chosen: Chosen | None = None
        self._finished = 0
        self._over = False
        self._thread: threading.Thread | None = None

    @property
    def finished(self) -> int:
        return self._finished

    def ask(self, number: int, folder: Folder) -> CheckRun:
        with self._database.read() as session:
            if (ran := checks.known(session, folder.path, folder.tree, self._runs.version)) is not None:
                return CheckRun(state="passed" if ran.passed else "failed", said=ran.said)
        with self._turn:
            if self._over:
                return CheckRun(state="not_executed", said="the company is being shut down")
            if (failed := self._not_executed.get(folder.key)) and self._now() - failed[1] < TRY_AGAIN:
                return CheckRun(state="not_executed", said=failed[0])
            # What the change held before is not run any more; what it holds now waits behind the others'. Whoever pushes and pushes
            # again holds up nobody else.
            self._waiting = {key: it for key, it in self._waiting.items() if it[0] != number or key == folder.key}
            if folder.key != self._running:
                self._waiting.setdefault(folder.key, (number, folder))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="checks", daemon=True)
                self._thread.start()
            self._turn.notify_all()
        return CheckRun(state="running", said="checks are running")

    def wait(self, seconds: float) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self._over or not (self._waiting or self._running), timeout=seconds)

    def forget(self, number: int) -> None:
        with self._turn:
            self._waiting = {key: (asker, folder) for key, (asker, folder) in self._waiting.items() if asker != number}
            self._turn.notify_all()

    def sandbox(self) -> Chosen:
        """The one in use. The first time, a fraction of a second."""
        with self._choosing:
            if self._chosen is None:
                self._chosen = self._choose()
            return self._chosen

    def close(self) -> None:
        """Begins no more runs, and waits for the one under way."""
        with self._turn:
            self._over = True
            self._turn.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=30)

    # ------------------------------------------------------------------ in the background

    def _work(self) -> None:
        while (next_ := self._next()) is not None:
            number, folder = next_
            why: str | None = None
            try:
                why = self._run(number, folder)
            except Exception as error:
                log.exception("the checks of change %s failed themselves", number)
                why = f"the checks failed themselves ({type(error).__name__}: {str(error)[:200]})"
            with self._turn:
                self._running = None
                if why is not None:
                    self._not_executed[folder.key] = (why, self._now())
                self._finished += 1
                self._turn.notify_all()

    def _next(self) -> tuple[int, Folder] | None:
        with self._turn:
            self._turn.wait_for(lambda: self._over or bool(self._waiting))
            if self._over:
                return None
            self._running = next(iter(self._waiting))
            return self._waiting.pop(self._running)

    def _run(self, number: int, folder: Folder) -> str | None:
        """Runs it and writes down what came of it; why it was not run, if it was not."""
        chosen = self.sandbox()
        if chosen.sandbox is None:
            return f"there is no sandbox ({chosen.said})"
        try:
            ran = self._runs.run(chosen.sandbox, folder.path, folder.files())
        except SandboxFailed as error:
            return f"the sandbox failed: {error}"
        fact = checks.RanCheck(
            path=folder.path,
            tree=folder.tree,
            version=self._runs.version,
            passed=ran.passed,
            said=ran.said,
            sandbox=chosen.sandbox.name,
            seconds=round(ran.seconds, 3),
            at=self._now(),
        )
        detail = {"path": fact.path, "tree": fact.tree, "version": fact.version, "said": fact.said}
        detail |= {"sandbox": fact.sandbox, "seconds": str(fact.seconds)}
        outcome = "passed" if ran.passed else "failed"
        with self._database.begin() as session:
            if checks.record(session, fact):
                ledger.append(
                    session, ledger.Entry(ACTOR, "change.check", f"change:{number}", outcome, fact.at, detail)
                )
        return None
