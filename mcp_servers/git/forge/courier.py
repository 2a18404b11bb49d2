"""Brings what is in the outbox to the webhooks, in a thread that lives while there is something to bring.

Each delivery is tried once, as GitHub does, and can be asked for again. It counts as made only once its outcome is written down: a
process that ends in between makes it again when the forge starts next, with the same id. Only this machine and public addresses
are reached (`safe_http`), no redirect is followed, and no request to the forge ever waits.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from mcp_servers.addresses import AddressRefused
from mcp_servers.git.forge import hooks
from mcp_servers.git.forge.store import Row, Store
from mcp_servers.safe_http import HttpFailed, SafeHttp

TIMEOUT_SECONDS = 10.0
ANSWER_LIMIT = 1024 * 1024
#: Beside public addresses: a webhook may stand on this machine.
THIS_MACHINE = ("127.0.0.0/8", "::1/128")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What came of one try: the receiver's status code (0: none came), GitHub's word for it, and what was answered."""

    code: int
    status: str
    headers: dict[str, str]
    text: str


class Courier:
    """`wake` it after every commit that may have put something into the outbox; it returns at once."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store, self._now = store, now
        self._lock = threading.Lock()
        self._wanted = self._running = False

    def wake(self) -> None:
        with self._lock:
            self._wanted = True
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="forge-courier", daemon=True).start()

    def _run(self) -> None:
        while self._more():
            try:
                if self._waiting():
                    asyncio.run(self.deliver())
            except Exception:
                # The next event, or the next start, tries again: what was not delivered is still in the outbox.
                log.exception("webhooks could not be delivered this time")

    def _more(self) -> bool:
        with self._lock:
            self._running, self._wanted = self._wanted, False
            return self._running

    async def deliver(self) -> None:
        """Make every waiting delivery: webhooks side by side, each webhook's own in order."""
        while rows := self._waiting():
            http = SafeHttp(lambda: THIS_MACHINE)
            try:
                by_hook = sorted(rows, key=lambda row: (row["hook"], row["id"]))
                queues = [list(queue) for _, queue in groupby(by_hook, key=lambda row: row["hook"])]
                await asyncio.gather(*(self._deliver_in_order(http, queue) for queue in queues))
            finally:
                await http.close()

    async def _deliver_in_order(self, http: SafeHttp, rows: list[Row]) -> None:
        for row in rows:
            began = time.monotonic()
            body = hooks.body_of(row)
            headers = hooks.headers_of(row, body)
            outcome = await _post(http, row["url"], headers, body)
            self._note(row, headers, outcome, time.monotonic() - began)

    def _waiting(self) -> list[Row]:
        with self._store.read() as connection:
            return hooks.waiting(connection)

    def _note(self, row: Row, headers: dict[str, str], outcome: Outcome, seconds: float) -> None:
        at = self._now()
        old = (at - timedelta(days=hooks.KEPT_DAYS)).strftime("%Y-%m-%dT%H:%M:%SZ")
        message = "OK" if 200 <= outcome.code < 300 else outcome.text[:200]
        health = "active" if 200 <= outcome.code < 300 else "inactive"
        with self._store.write() as connection:
            connection.execute(
                "UPDATE deliveries SET delivered_at = ?, duration = ?, status = ?, code = ?, sent = ?, answered = ?,"
                " answer = ? WHERE id = ?",
                (
                    at.strftime("%Y-%m-%dT%H:%M:%SZ"), round(seconds, 2), outcome.status, outcome.code,
                    json.dumps(headers), json.dumps(outcome.headers), outcome.text, row["id"],
                ),
            )  # fmt: skip
            connection.execute(
                "UPDATE hooks SET last_code = ?, last_status = ?, last_message = ? WHERE id = ?",
                (outcome.code or None, health, message, row["hook"]),
            )
            connection.execute("DELETE FROM deliveries WHERE delivered_at < ?", (old,))


async def _post(http: SafeHttp, url: str, headers: dict[str, str], body: bytes) -> Outcome:
    try:
        answer = await http.request(
            "POST", url, headers=headers, body=body, timeout_seconds=TIMEOUT_SECONDS, max_bytes=ANSWER_LIMIT
        )
    except TimeoutError:
        return Outcome(0, "timed out", {}, f"no answer within {TIMEOUT_SECONDS:g} s")
    except (HttpFailed, AddressRefused) as error:
        return Outcome(0, "failed to connect to host", {}, str(error))
    except Exception as error:
        # Whatever it was, it is this delivery's outcome: the ones behind it must not wait for ever.
        log.exception("a webhook could not be called")
        return Outcome(0, "failed to connect to host", {}, type(error).__name__)
    status = "OK" if 200 <= answer.status < 300 else f"Invalid HTTP Response: {answer.status}"
    text = answer.body.decode("utf-8", "replace")[: hooks.ANSWER_KEPT]
    return Outcome(answer.status, status, dict(answer.headers), text)
