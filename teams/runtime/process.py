"""The team in this process: starting, then a worker behind a queue, or the reason why it cannot work."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from teams.runtime.catalogue import ToolCatalogue
from teams.runtime.conversation import Conversation
from teams.runtime.deployment import Deployment
from teams.runtime.failed import sentence
from teams.runtime.gateway_client import Gateway
from teams.runtime.health import Health, check_access
from teams.runtime.package import Unusable, build_worker, load_server, read_spec
from teams.runtime.tokens import Tokens
from teams.runtime.told import read_reports
from teams.runtime.work import Queue, Resources, Run, RunResult, TeamWorker, TooBusy
from teams.spec import TeamSpec

log = logging.getLogger(__name__)


class TeamProcess:
    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.tokens = Tokens(deployment.member_tokens)
        self.health = Health("starting")
        self.spec: TeamSpec | None = None
        self._worker: TeamWorker | None = None
        self._queue = Queue()
        self._gateway: Gateway | None = None

    async def start(self) -> None:
        """Loads the team, then checks what it may reach. Ends when the health is decided."""
        try:
            self.spec = read_spec(self.deployment.folder)
            gateway = self._gateway = Gateway(self.deployment.gateway_url, self.tokens)
            resources = Resources(
                spec=self.spec,
                gateway=gateway,
                catalogue=ToolCatalogue(gateway),
                conversation=Conversation(self.spec.name, sys.stdout, lambda: datetime.now(UTC)),
                work_dir=Path(self.deployment.work_dir),
            )
            # In a thread, so that health is answered while a framework loads.
            server = await asyncio.to_thread(load_server, self.deployment, self.spec.framework)
            self._worker = build_worker(server, resources)
            self.health = await check_access(resources)
        except Unusable as error:
            log.exception("this team cannot run")
            self.health = Health("failing", str(error))
        except Exception as error:
            log.exception("the start failed")
            self.health = Health("failing", f"{type(error).__name__}: {error}")

    async def handle(self, run: Run) -> RunResult:
        """A run's result, whatever happens: refusals and faults are results too."""
        if self._worker is None or self.health.status != "ok":
            return RunResult(f"This team cannot work now: it is {self.health.status}.", state="failed")
        if run.deadline and run.deadline <= datetime.now(UTC):
            return RunResult("The deadline of this request has passed.", state="rejected")
        try:
            told = replace(run, reports=read_reports(Path(self.deployment.told_dir)))
            return await self._queue.handle(self._worker, told)
        except TooBusy as error:
            return RunResult(str(error), state="rejected")
        except Exception as error:
            log.exception("run %s failed", run.id)
            return RunResult(sentence(error, self.deployment.team, run.id), state="failed")

    async def stop(self) -> None:
        if self._gateway:
            await self._gateway.aclose()
