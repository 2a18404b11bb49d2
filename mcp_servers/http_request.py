"""An HTTP/1.1 request as it goes over the wire, and where it goes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from yarl import URL

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: What would end a header's line, or be read differently by different servers.
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: How long the body is and what becomes of the connection is for the client to say.
_OURS = frozenset(("host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te", "trailer"))
#: An answer is taken as it is: nothing here unpacks it.
_USUAL = {"accept": "Accept: */*", "accept-encoding": "Accept-Encoding: identity", "user-agent": "User-Agent: elf"}


@dataclass(frozen=True, slots=True)
class Place:
    """The end of a connection. `host` is a name, or an address without brackets."""

    secure: bool
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart: `authority` is for the Host header, `path` what is asked for there."""

    place: Place
    authority: str
    path: str


@lru_cache(maxsize=1024)
def target_of(url: str) -> Target:
    """Raises `ValueError` for what is no plain http(s) URL."""
    read = URL(url)
    if read.scheme not in ("http", "https") or not read.raw_host or read.port is None or read.raw_user is not None:
        raise ValueError("a plain http(s) address is wanted, without a user")
    assert read.host_port_subcomponent is not None
    return Target(
        Place(read.scheme == "https", read.raw_host, read.port), read.host_port_subcomponent, read.raw_path_qs
    )


def with_params(url: str, params: Mapping[str, str] | None) -> str:
    """The URL, with these in its query."""
    return str(URL(url).update_query(params)) if params else url


def request_bytes(method: str, target: Target, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """Raises `ValueError` for a header that is none, or that would say what only the client may."""
    lines = [f"{method} {target.path} HTTP/1.1", f"Host: {target.authority}"]
    given: set[str] = set()
    for name, value in headers.items():
        plain = name.lower()
        if plain in _OURS or not _TOKEN.fullmatch(name) or _UNSAFE.search(value):
            raise ValueError(f"{name[:60]!r} cannot be sent as a header")
        given.add(plain)
        lines.append(f"{name}: {value}")
    lines += [line for name, line in _USUAL.items() if name not in given]
    if body is not None or method == "POST":
        lines.append(f"Content-Length: {len(body or b'')}")
    head = "\r\n".join(lines) + "\r\n\r\n"
    return head.encode("latin-1") + (body or b"")
