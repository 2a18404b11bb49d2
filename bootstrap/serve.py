"""The kernel's process: prepares what is missing, puts the company together, serves until told to stop.

python -m bootstrap.serve          (started by ./elf up; its settings come from the environment)
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from bootstrap.home import Home, HomeUnusable
from bootstrap.launch import PROGRESS_FD
from bootstrap.loops import Loops
from bootstrap.places import OWNER, REPO, Connection, connection_of, mirror_path
from bootstrap.progress import Progress
from bootstrap.seed import BadCheckout, files_of
from bootstrap.settings import BadSettings, Settings, read_settings
from bootstrap.wiring import Kernel, assemble
from mcp_servers.cluster.port import ClusterError
from mcp_servers.gateway.client_tokens import PREFIX
from mcp_servers.git.changes import ChangesError
from mcp_servers.git.forge import ProtectionMissing, SeedRefused, seed
from mcp_servers.git.mirror import Mirror
from mcp_servers.git.objects import Signature
from mcp_servers.monitor.alerts import BadAlertUrl
from memory import ledger
from memory.migrate import upgrade
from memory.session import Database

#: The teams without which nobody can be asked for anything.
FIRST_TEAMS = ("executive", "devops")
TEAMS_UP_S = 120.0
_SEEDER = Signature("elf-seed", "elf-seed@company.invalid")

EXPECTED = (BadSettings, HomeUnusable, BadCheckout, ClusterError, ProtectionMissing, SeedRefused, BadAlertUrl)


def main() -> int:
    """Exit status 0 after an orderly stop, 2 when something that people can mend stood in the way."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "mcp", "a2a", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # What the company writes is its owner's alone.
    os.umask(0o077)
    given = os.environ.pop(PROGRESS_FD, "")
    # The company speaks to itself on this machine; a proxy of the environment has no part in that.
    os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY", ""), "127.0.0.1", "localhost"]))
    progress = Progress(int(given) if given else None)
    try:
        run(read_settings(os.environ), progress)
    except EXPECTED as error:
        progress.failed(str(error))
        return 2
    except SQLAlchemyError as error:
        logging.exception("the database cannot be used")
        progress.failed(f"the database cannot be used: {str(getattr(error, 'orig', error)).strip().splitlines()[0]}")
        return 2
    except OSError as error:
        logging.exception("the company could not start")
        progress.failed(f"the company could not start: {error}")
        return 2
    return 0


def run(settings: Settings, progress: Progress) -> None:
    """Serves until SIGTERM or SIGINT."""
    if (settings.openai_api_key or "").startswith(PREFIX):
        raise BadSettings(
            "OPENAI_API_KEY holds a token of ./elf token, which is for clients of the company and no provider's key; "
            "unset it (and OPENAI_BASE_URL) in this shell, and start again"
        )
    home = Home(settings.home)
    with progress.step("home"):
        home.prepare()
        claim = home.claim()
        _keep_scratch_in(home)
    with claim, _listen(settings.port) as listener:
        database = Database(settings.database_url)
        with progress.step("database"):
            upgrade(database)
        with progress.step("the company's repository"):
            if connection := connection_of(home):
                _catch_up(home, connection)
            else:
                _seed(settings, home, database)
        kernel = assemble(settings, home, database, _now)
        home.write_kernel({"pid": os.getpid(), "port": settings.port})
        with asyncio.Runner(loop_factory=_loop_factory(traced=settings.otel_endpoint is not None)) as runner:
            runner.run(_serve(kernel, listener, progress))


def _keep_scratch_in(home: Home) -> None:
    """Temporary files of this process and of its programs lie in the home from now on: what a kill leaves, the next start finds there."""
    os.environ["TMPDIR"] = str(home.scratch)
    # Asked anew: an import may have asked before.
    tempfile.tempdir = None


def _seed(settings: Settings, home: Home, database: Database) -> None:
    files, modes = files_of(settings.checkout)
    # The first commit's time is its content's, not the clock's: the same checkout gives the same company.
    when = datetime(2026, 1, 1, tzinfo=UTC)
    repository = seed(home.forge, OWNER, REPO, files, modes, _SEEDER, when, "Seed the company\n")
    first = repository.log("refs/heads/main", limit=1)[0].sha
    with database.begin() as session:
        if ledger.head(session).seq == 0:
            ledger.append(
                session, ledger.Entry("kernel:seed", "company.seed", first, "done", _now(), {"files": len(files)})
            )


def _catch_up(home: Home, connection: Connection) -> None:
    """GitHub's branches, fetched. Without an answer the company starts with what it knows of them."""
    mirror = Mirror(mirror_path(home, connection.repo), connection.gate_account(home, _now), _now)
    mirror.prepare()
    try:
        mirror.fetch()
    except ChangesError as error:
        if "refs/heads/main" not in mirror.repository.refs("refs/heads/"):
            raise HomeUnusable(
                f"{connection.repo} cannot be fetched, and nothing of it is here yet: {error}"
            ) from error
        logging.warning("%s cannot be fetched now; the company starts from what it has: %s", connection.repo, error)


async def _serve(kernel: Kernel, listener: socket.socket, progress: Progress) -> None:
    config = uvicorn.Config(
        kernel.app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
        # No proxy may stand before the company: nobody is believed to speak for another address.
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    # Signals are ours: uvicorn's own handling would end the process before teams and database are closed.
    server.install_signal_handlers = lambda: None  # pyright: ignore[reportAttributeAccessIssue]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stop.set)
    loops = Loops(kernel)
    serving = asyncio.create_task(server._serve([listener]))  # pyright: ignore[reportPrivateUsage]
    background: asyncio.Task[None] | None = None
    try:
        await _until(lambda: server.started, 10.0, "the server did not come up")
        with progress.step("the frameworks, loaded once"):
            await kernel.cluster.warm_up()
        background = asyncio.create_task(loops.run())
        for team in FIRST_TEAMS:
            with progress.step(f"team {team}"):
                await _until_active(kernel, team, stop)
        progress.ready()
        await stop.wait()
    finally:
        if background is not None:
            background.cancel()
            await asyncio.gather(background, return_exceptions=True)
        # Whoever waits for a turn is told now, while there is a server to say it.
        kernel.gateway.stop()
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        loops.anchor()
        await kernel.close()


async def _until_active(kernel: Kernel, team: str, stop: asyncio.Event) -> None:
    deadline = time.monotonic() + TEAMS_UP_S
    while time.monotonic() < deadline and not stop.is_set():
        found = await asyncio.to_thread(kernel.office.teams.one, team, kernel.now())
        if found and found["state"] == "active":
            return
        if found and found["state"] == "ill":
            raise ClusterError(f"the team '{team}' cannot start: {found['reason']}")
        await asyncio.sleep(0.05)
    if not stop.is_set():
        raise ClusterError(f"the team '{team}' did not come up in {TEAMS_UP_S:.0f} s; its log is in the company's home")


async def _until(true: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise ClusterError(otherwise)
        await asyncio.sleep(0.01)


def _loop_factory(*, traced: bool) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it can be had: it takes a quarter less CPU for a call. None: asyncio's own loop, which does the same.

    uvloop runs Python's at-fork hooks in every process it starts. The hook of the exporter of traces starts a thread there and
    waits for it, for ever; the kernel waits for the process. asyncio starts processes without the hooks.
    """
    if traced:
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _listen(port: int) -> socket.socket:
    # Said to be TCP, for asyncio to switch off Nagle's algorithm: else every answer waits 40 ms for the client's acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise HomeUnusable(
            f"port {port} is taken by another program; choose another one: ELF_PORT=7171 ./elf up"
        ) from error
    listener.listen(512)
    return listener


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
