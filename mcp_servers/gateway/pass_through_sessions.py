"""Sessions of members with tool servers: the gateway's own ids, each bound to who opened it, mapped to the server's.

Kept in memory: after a restart a client is told that its session is unknown, and opens another.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mcp_servers.gateway.http_server import HttpServer
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.served import Served
from mcp_servers.monitor.observer import ToolEnd

#: Sessions that one member may have at a time; requests under way, and streams open, in one session.
MOST_SESSIONS = 8
MOST_REQUESTS = 16
MOST_STREAMS = 20
#: Questions of a server that are remembered until they are answered; the oldest is forgotten first.
_MOST_ASKED = 64
#: A session that nobody used for so long may be forgotten. Seconds.
IDLE_SECONDS = 3600.0
#: Event ids of a session by which a client may still resume.
_MOST_EVENTS = 2000

RequestId = str | int


class SessionUnknown(Refused):
    """Answered by HTTP's 404, upon which a client opens another session."""

    def __init__(self) -> None:
        super().__init__("not_found", "There is no such session of yours with this server; open one with initialize.")


@dataclass(eq=False)
class Pending:
    """A request that the server has not answered yet. `subject` and `run` as in the ledger."""

    id: RequestId
    method: str
    subject: str
    run: str
    began: datetime
    #: The event loop's time at which it was sent.
    sent: float
    #: A tool call's end, for whoever watches.
    watched: Callable[[ToolEnd], None] | None = None
    #: The token by which the client wants to hear of its progress.
    token: RequestId | None = None
    #: Its stream had ids, so that a client may come back for the answer.
    resumable: bool = False
    settled: bool = False


@dataclass(eq=False)
class Session:
    """One member's session with one server."""

    id: str
    owner: Caller
    name: str
    served: Served
    server: HttpServer
    #: The headers that the server knows the session by.
    headers: Mapping[str, str]
    #: What the server was told that the client can do.
    offered: Mapping[str, Any]
    used: float
    streams: int = 0
    #: Set when it was closed, by the client or by us.
    closed: bool = False
    pending: dict[RequestId, Pending] = field(default_factory=dict[RequestId, Pending])
    #: The server's questions that the client has not answered: id -> method and the loop's time at which it came.
    asked: dict[RequestId, tuple[str, float]] = field(default_factory=dict[RequestId, tuple[str, float]])
    #: When the client last answered one.
    answered: float = 0.0
    _events: OrderedDict[str, str] = field(default_factory=OrderedDict[str, str])
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def ask(self, id_: RequestId, method: str, now: float) -> None:
        """Remembers a question of the server's, so that it may be answered."""
        self.asked[id_] = (method, now)
        if len(self.asked) > _MOST_ASKED:
            del self.asked[next(iter(self.asked))]

    def event_id(self, theirs: str) -> str:
        """Our id for an event of the server's. Theirs may be anything, also somebody else's; ours holds in this session alone."""
        ours = str(next(self._numbers))
        self._events[ours] = theirs
        if len(self._events) > _MOST_EVENTS:
            self._events.popitem(last=False)
        return ours

    def their_event_id(self, ours: str) -> str | None:
        return self._events.get(ours)


class Sessions:
    """All that are open. `now` is the event loop's time."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._open.values()))

    def room_for(self, owner: Caller, now: float) -> list[Session]:
        """Those that have to go before the owner opens another. Raises `Refused` where all of its own are in use."""
        idle = [one for one in self if now - one.used > IDLE_SECONDS and not one.streams]
        mine = sorted((one for one in self if one.owner == owner and one not in idle), key=lambda it: it.used)
        if len(mine) < MOST_SESSIONS:
            return idle
        oldest = next((one for one in mine if not one.streams), None)
        if oldest is None:
            raise Refused("overloaded", f"{owner.address} has {len(mine)} sessions with open streams; end one first.")
        return [*idle, oldest]

    def add(self, session: Session) -> None:
        self._open[session.id] = session

    def find(self, id_: str, caller: Caller, server: str, now: float) -> Session | None:
        """The session of that id, if it is this caller's and with this server."""
        session = self._open.get(id_)
        if session is None or session.name != server or session.owner != caller:
            return None
        session.used = now
        return session

    def drop(self, session: Session) -> None:
        session.closed = True
        self._open.pop(session.id, None)
