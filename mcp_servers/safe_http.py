"""HTTP to tool servers and public sources: to judged addresses only, no redirect, no cookie, no proxy, no answer without an end.

Names are resolved here, every address is judged, and the connection goes to one of those addresses: a second answer of the name
server (DNS rebinding) is never asked for. The certificate is still checked against the name.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mcp_servers.addresses import check_all
from mcp_servers.http_connection import ConnectionBroken, HttpConnection
from mcp_servers.http_pool import HttpPool
from mcp_servers.http_request import Place, Target, request_bytes, target_of, with_params

Resolve = Callable[[str, int], Sequence[str]]
CONNECT_SECONDS = 5.0


class HttpFailed(Exception):
    """No usable answer; the text is safe to show (no secret, no body)."""


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    headers: Mapping[str, str]
    body: bytes


class Opened:
    """An answer whose body is still to come, piece by piece."""

    def __init__(self, connection: HttpConnection) -> None:
        self.status, self.headers, self.content_type = connection.status, connection.headers, _kind(connection)
        self._connection = connection

    async def next(self) -> bytes:
        """What has come, as soon as something has; empty at the end. Raises `HttpFailed` where it breaks off."""
        try:
            return await self._connection.next()
        except ConnectionBroken as error:
            raise HttpFailed(str(error)) from error

    async def whole(self, max_bytes: int) -> bytes:
        """All of it. Raises `HttpFailed`."""
        try:
            return await _read(self._connection, max_bytes, None)
        except ConnectionBroken as error:
            raise HttpFailed(str(error)) from error


class SafeHttp:
    """One pool of connections, for one event loop. `own_networks` is read at every new connection: the law may change while it lives."""

    def __init__(self, own_networks: Callable[[], Sequence[str]], resolve: Resolve | None = None) -> None:
        self._own_networks, self._resolve = own_networks, resolve or _ask_the_system
        self._pool: HttpPool | None = None
        self._tls: ssl.SSLContext | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        timeout_seconds: float,
        max_bytes: int,
        until: Callable[[bytes], bool] | None = None,
    ) -> Answer:
        """The answer, whole. `until` may end an event stream early. Raises `HttpFailed`, `AddressRefused`, `TimeoutError`."""
        target, sent = self._prepared(method, with_params(url, params), headers or {}, body)
        pool = self._pool = self._pool or HttpPool(self._connected)
        async with asyncio.timeout(timeout_seconds):
            connection = await pool.take(target.place)
            try:
                await connection.ask(sent)
                kind = _usable(connection)
                content = await _read(connection, max_bytes, until if kind == "text/event-stream" else None)
                return Answer(connection.status, kind, connection.headers, content)
            except ConnectionBroken as error:
                raise HttpFailed(str(error)) from error
            finally:
                pool.give_back(target.place, connection)

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> AsyncGenerator[Opened]:
        """The answer as soon as its head has come, which may take `seconds`; open until the block ends. Raises as `request` does.

        On a connection of its own: streams stay open, and would keep all others from their server.
        """
        target, sent = self._prepared(method, url, headers, body)
        connection: HttpConnection | None = None
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connected(target.place)
                try:
                    await connection.ask(sent)
                except ConnectionBroken as error:
                    raise HttpFailed(str(error)) from error
            _usable(connection)
            yield Opened(connection)
        finally:
            if connection is not None:
                connection.close()

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
        self._pool = None

    def _prepared(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> tuple[Target, bytes]:
        """Where it goes and what is sent there. An address in place of a name is judged here, at every request."""
        try:
            target = target_of(url)
            sent = request_bytes(method, target, headers, body)
        except ValueError as error:
            raise HttpFailed("its address or a header is not usable") from error
        _check_literal(target.place.host, tuple(self._own_networks()))
        return target, sent

    async def _connected(self, place: Place) -> HttpConnection:
        """A connection to one of the addresses that were judged. Raises `HttpFailed`, `AddressRefused`."""
        loop = asyncio.get_running_loop()
        tls = self._context() if place.secure else None
        failed: OSError | None = None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                for address in await self._judged(place):
                    try:
                        _, connection = await loop.create_connection(
                            HttpConnection, address, place.port, ssl=tls, server_hostname=place.host if tls else None
                        )
                        return connection
                    except OSError as error:
                        failed = error
        except TimeoutError as error:
            raise HttpFailed(f"it could not be reached in {CONNECT_SECONDS:g} s") from error
        raise HttpFailed(f"it could not be reached ({type(failed).__name__})") from failed

    async def _judged(self, place: Place) -> Sequence[str]:
        if _is_address(place.host):
            found: Sequence[str] = [place.host]
        else:
            try:
                found = await asyncio.to_thread(self._resolve, place.host, place.port)
            except OSError as error:
                raise HttpFailed("its name cannot be resolved") from error
        return check_all(place.host, found, self._own_networks())

    def _context(self) -> ssl.SSLContext:
        # Made when it is needed: it reads every certificate authority there is.
        self._tls = self._tls or ssl.create_default_context()
        return self._tls


def _usable(connection: HttpConnection) -> str:
    """The answer's kind. Raises `HttpFailed` for one that is not followed, or not to be read."""
    if 300 <= connection.status < 400:
        raise HttpFailed(f"it answered with a redirect ({connection.status}), which is not followed")
    if connection.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise HttpFailed("its answer is compressed, which nobody asked for")
    return _kind(connection)


def _kind(connection: HttpConnection) -> str:
    return connection.headers.get("content-type", "").partition(";")[0].strip().lower()


def _ask_the_system(host: str, port: int) -> Sequence[str]:
    found: list[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@lru_cache(maxsize=1024)
def _check_literal(host: str, own_networks: tuple[str, ...]) -> None:
    """Raises `AddressRefused`. What passed is remembered: the same address and the same networks give the same answer."""
    if _is_address(host):
        check_all(host, [host], own_networks)


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except OSError:
            continue
        return True
    return False


async def _read(connection: HttpConnection, most: int, until: Callable[[bytes], bool] | None) -> bytes:
    found = bytearray()
    while piece := await connection.next():
        found += piece
        if len(found) > most:
            raise HttpFailed(f"its answer has more than the {most} bytes allowed")
        if until is not None and until(bytes(found)):
            break
    return bytes(found)
