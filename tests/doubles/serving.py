"""Real HTTP on loopback for a test: an ASGI app served by uvicorn in a thread."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp


class _Server(uvicorn.Server):
    """Ends when told to, not at the next tick of a clock."""

    ending: Callable[[], object]

    async def main_loop(self) -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        self.ending = lambda: loop.call_soon_threadsafe(stop.set)
        await stop.wait()


@dataclass(frozen=True)
class Tls:
    """PEM files. `clients`: the CA of certificates that a client must show."""

    certificate: Path
    key: Path
    clients: Path | None = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(app: ASGIApp, port: int = 0, tls: Tls | None = None) -> Generator[str]:
    """The base URL of the app while it is served. Port 0: any free one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(app, log_level="error", lifespan="auto", ws="none", timeout_graceful_shutdown=1)
    if tls is not None:
        config.ssl_certfile, config.ssl_keyfile = tls.certificate, tls.key
        if tls.clients is not None:
            config.ssl_ca_certs, config.ssl_cert_reqs = str(tls.clients), ssl.CERT_REQUIRED
    server = _Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        if time.monotonic() > deadline:
            raise TimeoutError("the app did not start serving")
        time.sleep(0.005)
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.ending()
        thread.join(10)
        listener.close()
