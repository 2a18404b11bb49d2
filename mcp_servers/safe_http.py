"""HTTP to tool servers and public sources: to judged addresses only, no redirect, no cookie, no proxy, no answer without an end.

Names are resolved here, every address is judged, and the connection goes to one of those addresses: a second answer of the name
server (DNS rebinding) is never asked for. The certificate is still checked against the name.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from mcp_servers.addresses import AddressRefused, check_all

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

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.status, self.headers, self.content_type = answer.status, answer.headers, _kind(answer)
        self._content = answer.content

    async def next(self) -> bytes:
        """What has come, as soon as something has; empty at the end. Raises `HttpFailed` where it breaks off."""
        try:
            return await self._content.readany()
        except aiohttp.ClientError as error:
            raise HttpFailed(f"it broke off ({type(error).__name__})") from error

    async def whole(self, max_bytes: int) -> bytes:
        """All of it. Raises `HttpFailed`."""
        try:
            return await _read(self._content, max_bytes, None)
        except aiohttp.ClientError as error:
            raise HttpFailed(f"it broke off ({type(error).__name__})") from error


class SafeHttp:
    """One pool of connections. `own_networks` is read at every new connection: the law may change while it lives."""

    def __init__(self, own_networks: Callable[[], Sequence[str]], resolve: Resolve | None = None) -> None:
        self._resolver = _JudgingResolver(own_networks, resolve or _ask_the_system)
        self._session: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None
        self._own_networks = own_networks

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
        limits = aiohttp.ClientTimeout(total=timeout_seconds, connect=CONNECT_SECONDS)
        with _failures():
            self._check_literal(url)
            async with self._open().request(
                method, url, headers=headers, data=body, params=params, timeout=limits, allow_redirects=False
            ) as answer:
                _not_elsewhere(answer)
                kind = _kind(answer)
                stream = until if kind == "text/event-stream" else None
                content = await _read(answer.content, max_bytes, stream)
                return Answer(answer.status, kind, answer.headers, content)

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> AsyncGenerator[Opened]:
        """The answer as soon as its head has come, which may take `seconds`; open until the block ends. Raises as `request` does.

        In a pool of its own: streams stay open, and would keep all others from their server.
        """
        limits = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS)
        with _failures():
            self._check_literal(url)
            async with asyncio.timeout(seconds):
                answer = await self._open_streams().request(
                    method, url, headers=headers, data=body, timeout=limits, allow_redirects=False
                )
        try:
            with _failures():
                _not_elsewhere(answer)
            yield Opened(answer)
        finally:
            answer.close()

    async def close(self) -> None:
        for session in (self._session, self._streams):
            if session is not None:
                await session.close()
        self._session = self._streams = None

    def _check_literal(self, url: str) -> None:
        """An address in place of a name is never resolved, so it is judged here."""
        _check_address_in(url, tuple(self._own_networks()))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = self._pool(64, 16)
        return self._session

    def _open_streams(self) -> aiohttp.ClientSession:
        if self._streams is None or self._streams.closed:
            self._streams = self._pool(0, 0)
        return self._streams

    def _pool(self, limit: int, limit_per_host: int) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            use_dns_cache=False,
            ssl=ssl.create_default_context(),
            limit=limit,
            limit_per_host=limit_per_host,
        )
        return aiohttp.ClientSession(
            connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True
        )


@contextmanager
def _failures() -> Generator[None]:
    """What the client library raises, as `HttpFailed` or `AddressRefused`."""
    try:
        yield
    except aiohttp.ClientConnectorDNSError as error:
        if isinstance(error.os_error, _Judged):
            raise error.os_error.refused from error
        raise HttpFailed("its name cannot be resolved") from error
    except AddressRefused:
        raise
    except aiohttp.ClientError as error:
        raise HttpFailed(f"it could not be reached or broke off ({type(error).__name__})") from error
    except ValueError as error:
        raise HttpFailed("its address or a header is not usable") from error


def _not_elsewhere(answer: aiohttp.ClientResponse) -> None:
    if 300 <= answer.status < 400:
        raise HttpFailed(f"it answered with a redirect ({answer.status}), which is not followed")


def _kind(answer: aiohttp.ClientResponse) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


class _Judged(OSError):
    """How a refusal travels through the client library: it takes `OSError` from a resolver."""

    def __init__(self, refused: AddressRefused) -> None:
        super().__init__(str(refused))
        self.refused = refused


class _JudgingResolver(AbstractResolver):
    def __init__(self, own_networks: Callable[[], Sequence[str]], resolve: Resolve) -> None:
        self._own_networks, self._resolve = own_networks, resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family  # all families are asked for, and judged
        found = await asyncio.to_thread(self._resolve, host, port)
        try:
            addresses = check_all(host, found, self._own_networks())
        except AddressRefused as error:
            raise _Judged(error) from error
        return [_result(host, address, port) for address in addresses]

    async def close(self) -> None:
        """Holds nothing."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return {
        "hostname": host,
        "host": address,
        "port": port,
        "family": family,
        "proto": 0,
        "flags": socket.AI_NUMERICHOST,
    }


def _ask_the_system(host: str, port: int) -> Sequence[str]:
    found: list[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@lru_cache(maxsize=1024)
def _check_address_in(url: str, own_networks: tuple[str, ...]) -> None:
    """Raises `AddressRefused`. What passed is remembered: the same address and the same networks give the same answer."""
    host = URL(url).host or ""
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


async def _read(content: aiohttp.StreamReader, most: int, until: Callable[[bytes], bool] | None) -> bytes:
    found = bytearray()
    async for chunk in content.iter_any():
        found += chunk
        if len(found) > most:
            raise HttpFailed(f"its answer has more than the {most} bytes allowed")
        if until is not None and until(bytes(found)):
            break
    return bytes(found)
