"""What a client owes GitHub: no more changes a minute and an hour than it asks for, waiting when told to, and asking only for what is new.

A GET that was answered before is asked again with its `ETag`: an answer of 304 costs nothing of the hour's requests, so looking at the
open changes every second stays free. One object is shared by all clients of an identity (GitHub counts by identity); threads may share it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from github import Github, Requester

from mcp_servers.git.changes import RateLimited

#: Longer waits are an error that says when to come back: the caller has other things to do.
PATIENCE_S = 20.0
MINUTE, HOUR = timedelta(seconds=60), timedelta(hours=1)
#: GitHub's own limit on what makes content, beside the one a minute. Every write is counted: no request says which it is.
WRITES_AN_HOUR = 500
#: Where GitHub says no time, it asks for at least a minute.
UNSAID_S = 60
#: How many characters of answers are kept in all, the latest ones.
KEPT = 8_000_000

Answer = tuple[int, dict[str, Any], str]


@dataclass(frozen=True)
class _Kept:
    tag: str
    headers: dict[str, Any]
    body: str


class Courtesy:
    """`writes_a_minute` None: no pace of our own. `now` in UTC; `sleep` in seconds."""

    def __init__(
        self, writes_a_minute: int | None, now: Callable[[], datetime], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._writes_a_minute, self._now, self._sleep = writes_a_minute, now, sleep
        self._lock = threading.Lock()
        self._writes: deque[datetime] = deque()
        self._closed_until: datetime | None = None
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def accompany(self, client: Github) -> None:
        """From now on every request of this client goes through here."""
        ask = client.requester.requestJson

        def courteous(verb: str, url: str, *more: Any, **named: Any) -> Answer:
            return self._request(ask, verb, url, *more, **named)

        client.requester.requestJson = courteous

    def _request(
        self,
        ask: Callable[..., Answer],
        verb: str,
        url: str,
        parameters: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        *more: Any,
        **named: Any,
    ) -> Answer:
        """One request, and once more if it was refused for a wait that is short enough: what is refused was not done."""
        for last in (False, True):
            self._take_turn(verb)
            answer = self._conditional(ask, verb, url, parameters, dict(headers or {}), *more, **named)
            if not self._told_to_wait(answer) or last:
                return answer
        raise AssertionError("the loop returns")

    def _conditional(
        self,
        ask: Callable[..., Answer],
        verb: str,
        url: str,
        parameters: dict[str, Any] | None,
        headers: dict[str, Any],
        *more: Any,
        **named: Any,
    ) -> Answer:
        if verb != "GET":
            return ask(verb, url, parameters, headers, *more, **named)
        key = Requester.Requester.add_parameters_to_url(url, dict(parameters or {}))
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None:
            headers["If-None-Match"] = kept.tag
        status, answered, body = ask(verb, url, parameters, headers, *more, **named)
        if status == 304 and kept is not None:
            return 200, {**kept.headers, **answered}, kept.body
        if status == 200 and answered.get("etag"):
            self._keep(key, _Kept(str(answered["etag"]), answered, body))
        return status, answered, body

    def _keep(self, key: str, answer: _Kept) -> None:
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = answer
            size = sum(len(kept.body) for kept in self._kept.values())
            while size > KEPT:
                size -= len(self._kept.popitem(last=False)[1].body)

    def _take_turn(self, verb: str) -> None:
        """Wait until this request may go out; `RateLimited` if that is too long."""
        while (until := self._turn(verb)) is not None:
            seconds = (until - self._now()).total_seconds()
            if seconds > PATIENCE_S:
                raise RateLimited(
                    f"GitHub's limit is reached: nothing is asked before {until:%H:%M:%S} UTC; try again then", until
                )
            self._sleep(max(seconds, 0.01))

    def _turn(self, verb: str) -> datetime | None:
        """None if it is this request's turn (a write is counted by that), else when to look again."""
        now = self._now()
        with self._lock:
            if self._closed_until is not None and now < self._closed_until:
                return self._closed_until
            if verb in {"GET", "HEAD"} or self._writes_a_minute is None:
                return None
            while self._writes and self._writes[0] <= now - HOUR:
                self._writes.popleft()
            if len(self._writes) >= WRITES_AN_HOUR:
                return self._writes[0] + HOUR
            if len(self._writes) >= self._writes_a_minute:
                # The oldest of as many as a minute has room for: once that is a minute ago, there is room.
                free = self._writes[-self._writes_a_minute] + MINUTE
                if now < free:
                    return free
            self._writes.append(now)
            return None

    def _told_to_wait(self, answer: Answer) -> bool:
        """Whether the answer is a limit's; then nobody asks anything until it is over."""
        status, headers, body = answer
        if status not in {403, 429}:
            return False
        wait = headers.get("retry-after")
        if wait is None and status == 403 and not _spent(headers) and "rate limit" not in body.lower():
            return False
        until = self._now() + timedelta(seconds=UNSAID_S)
        if wait is not None and str(wait).isdigit():
            until = self._now() + timedelta(seconds=int(wait))
        elif _spent(headers):
            until = max(until, datetime.fromtimestamp(int(float(headers.get("x-ratelimit-reset", 0))), UTC))
        with self._lock:
            self._closed_until = until
        return True


def _spent(headers: dict[str, Any]) -> bool:
    return str(headers.get("x-ratelimit-remaining")) == "0"
