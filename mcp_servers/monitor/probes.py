"""One look at each of the eight resources. Each is a blocking function that measures and says what it found; none changes anything.

What a probe cannot find out it raises; the monitor turns that into a critical reading of this one resource.
"""

from __future__ import annotations

import http.client
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil
from sqlalchemy import text
from sqlalchemy.orm import Session

from mcp_servers.monitor.readings import Found
from memory.session import Database
from policies.watch import Target

CONNECT_S = 2.0
#: Where a Docker daemon listens unless DOCKER_HOST says otherwise.
DOCKER_SOCKET = Path("/var/run/docker.sock")
MEGABYTE = 1_000_000


def api_quota(accounts: Mapping[str, tuple[int, int]]) -> Found:
    """`accounts`: scope -> (committed, limit) in micro-dollars today. A budget of 0 is meant so, and not full."""
    shares = {scope: 100 * spent / limit for scope, (spent, limit) in accounts.items() if limit > 0}
    if not shares:
        return Found(None, "no budget is set")
    fullest = max(sorted(shares), key=lambda scope: shares[scope])
    return Found(round(shares[fullest], 1), f"{fullest}: {shares[fullest]:.0f} % of the budget spent or held")


def memory() -> Found:
    seen = psutil.virtual_memory()
    free = seen.available // MEGABYTE
    return Found(seen.percent, f"{seen.percent:.0f} % of {seen.total // MEGABYTE} MB in use, {free} MB free")


def cpu() -> Found:
    """Since the last look; the first one has nothing to compare with and says 0."""
    share = psutil.cpu_percent(interval=None)
    return Found(share, f"{share:.0f} % of {psutil.cpu_count() or 1} processors in use")


def database(
    where: Database, warn_above_megabytes: int | None, clock: Callable[[], float] = time.perf_counter
) -> Found:
    """One small query, and how large the database is. Raises what the database raises."""
    began = clock()
    with where.read() as session:
        session.execute(text("SELECT 1"))
        took = (clock() - began) * 1000
        size = _size(where, session)
    large = warn_above_megabytes is not None and size > warn_above_megabytes * MEGABYTE
    said = f"answers in {took:.1f} ms, {size / MEGABYTE:.1f} MB"
    return Found(
        round(took, 2), f"{said} (more than the {warn_above_megabytes} MB of the law)" if large else said, warns=large
    )


def _size(where: Database, session: Session) -> int:
    """Bytes of the whole database, with SQLite's log."""
    if not where.is_sqlite:
        return int(session.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    if not where.url.database:
        return 0
    files = [Path(where.url.database + end) for end in ("", "-wal")]
    return sum(file.stat().st_size for file in files if file.exists())


def docker(host: str | None = None, default: Path = DOCKER_SOCKET) -> Found:
    """`host` is DOCKER_HOST's value. Not installed is no fault: there is then nothing to watch."""
    if not host:
        if not default.exists():
            return Found(None, "no Docker on this machine")
        host = f"unix://{default}"
    kind, _, where = host.partition("://")
    if kind == "unix":
        connection: http.client.HTTPConnection = _UnixConnection(where)
    elif kind in {"tcp", "http"}:
        connection = http.client.HTTPConnection(where.rstrip("/"), timeout=CONNECT_S)
    else:
        return Found(None, f"DOCKER_HOST is a {kind[:20]} address, which is not watched")
    try:
        connection.request("GET", "/_ping")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return Found(1, f"the Docker daemon does not answer ({type(error).__name__})")
    finally:
        connection.close()
    if status != 200:
        return Found(1, f"the Docker daemon answers {status}")
    return Found(0, "the Docker daemon answers")


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket at `path`."""

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=CONNECT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_S)
        self.sock.connect(self._path)


def mcp_servers(known: int, missing: Mapping[str, str]) -> Found:
    """`missing`: servers that did not list their tools, and why."""
    if missing:
        return Found(len(missing), "; ".join(f"{name} {why}" for name, why in sorted(missing.items())))
    return Found(0, f"{known} servers answer") if known else Found(None, "no server is registered")


def network(targets: Sequence[Target], timeout: float = CONNECT_S) -> Found:
    """Tries a TCP connection to each, and sends nothing."""
    if not targets:
        return Found(None, "nothing is configured to be reached (network, in policies/watch.yaml)")
    lost = [target.name for target in targets if not _reached(target, timeout)]
    if lost:
        return Found(len(lost), f"not reached: {', '.join(lost)}")
    return Found(0, f"{len(targets)} addresses reached")


def _reached(target: Target, timeout: float) -> bool:
    try:
        socket.create_connection((target.host, target.port), timeout).close()
    except OSError:
        return False
    return True


def teams(states: Mapping[str, tuple[str, str | None]]) -> Found:
    """`states`: team -> its state in one word, and why. Starting and healing teams are being seen to."""
    if not states:
        return Found(None, "no team lives yet")
    ill = {team: why or state for team, (state, why) in states.items() if state in {"ill", "down"}}
    if ill:
        return Found(len(ill), "; ".join(f"{team}: {why}" for team, why in sorted(ill.items())))
    busy = sorted(team for team, (state, _) in states.items() if state != "active")
    rest = f", being seen to: {', '.join(busy)}" if busy else ""
    return Found(0, f"{len(states) - len(busy)} of {len(states)} teams active{rest}")


def own_memory() -> int:
    """Bytes this process holds, for the metrics."""
    return psutil.Process(os.getpid()).memory_info().rss
