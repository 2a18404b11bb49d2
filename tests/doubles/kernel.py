"""A whole kernel in the test's own process and event loop, with real teams, by a clock that the test turns."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn

from bootstrap.home import Home
from bootstrap.loops import Loops
from bootstrap.places import OWNER, REPO
from bootstrap.seed import files_of
from bootstrap.settings import read_settings
from bootstrap.wiring import Kernel, assemble
from mcp_servers.git.forge import seed
from mcp_servers.git.objects import Signature
from memory.migrate import upgrade
from memory.session import Database

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Turned:
    """`loops` are the kernel's own; nobody runs them but the test."""

    kernel: Kernel
    loops: Loops
    clock: Clock
    home: Home

    async def everything_once(self) -> None:
        """One round of every loop there is."""
        await self.kernel.reconciler.tick()
        for one in self.loops.rounds():
            await one.act()


@asynccontextmanager
async def kernel_by_hand(folder: Path, *, teams: bool = True, **settings: Any) -> AsyncGenerator[Turned]:
    """The company of this checkout, served on loopback, its clock standing at `START`. `teams`: some will be started."""
    home, clock = Home(folder), Clock()
    home.prepare()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        chosen = replace(read_settings({"ELF_HOME": str(folder)}), port=int(listener.getsockname()[1]), **settings)
        database = Database(chosen.database_url)
        upgrade(database)
        seeder = Signature("seed", "seed@company.invalid")
        seed(home.forge, OWNER, REPO, *files_of(chosen.checkout), seeder, START, "Seed\n")
        kernel = assemble(chosen, home, database, clock)
        # As the real one: what a team still asks at the end is not waited for without end.
        config = uvicorn.Config(kernel.app, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=3)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve([listener]))  # pyright: ignore[reportPrivateUsage] - no signal handlers
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            if teams:
                await kernel.cluster.warm_up()
            yield Turned(kernel, Loops(kernel), clock, home)
        finally:
            kernel.gateway.stop()
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
            await kernel.close()
