"""Server-sent events: read from the bytes of a server or a team, written for a client of MCP. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_servers.gateway.rpc_server import UpstreamFailed

#: A server that asks clients to stay away for longer is not believed. Milliseconds.
_LONGEST_RETRY = 60_000
_LONGEST_ID = 512


@dataclass(frozen=True)
class Event:
    """`data` is empty where the event only carries an id or a time to wait, in milliseconds."""

    id: str | None
    retry: int | None
    data: bytes


class EventReader:
    """Gives the events of a stream as they become complete. None may have more than `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()
        self._held = b""

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this piece completes. Raises `UpstreamFailed`."""
        chunk, self._held = self._held + chunk, b""
        if chunk.endswith(b"\r"):
            # Whether a line feed follows is seen in the next piece.
            chunk, self._held = chunk[:-1], b"\r"
        seen = max(0, len(self._rest) - 1)
        self._rest += chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events: list[Event] = []
        while (end := self._rest.find(b"\n\n", seen)) >= 0:
            self._check(end)
            if (event := _event(bytes(self._rest[:end]))) is not None:
                events.append(event)
            del self._rest[: end + 2]
            seen = 0
        self._check(len(self._rest))
        return events

    def _check(self, size: int) -> None:
        if size > self._most:
            raise UpstreamFailed(f"it gave more than the {self._most} bytes allowed at a time")


def _event(lines: bytes) -> Event | None:
    """None: a comment, or fields that mean nothing here."""
    data: list[bytes] = []
    id_: str | None = None
    retry: int | None = None
    for line in lines.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"id" and b"\0" not in value:
            id_ = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) < 10:
            retry = min(int(value), _LONGEST_RETRY)
    if id_ is not None and len(id_) > _LONGEST_ID:
        raise UpstreamFailed(f"an event's id has more than {_LONGEST_ID} characters")
    return Event(id_ or None, retry, b"\n".join(data)) if data or id_ or retry is not None else None


def frame(data: bytes, id_: str | None = None, retry: int | None = None) -> bytes:
    """An event as it goes over the wire; `data` is one line."""
    head = b"event: message\n" if data else b""
    head += b"id: %b\n" % id_.encode() if id_ else b""
    head += b"retry: %d\n" % retry if retry is not None else b""
    return head + b"data: %b\n\n" % data
