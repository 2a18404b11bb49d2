"""The one door: who are you, may you, can you afford it, do it, settle, write it down. In this order, in this file.

Each step that touches the database is one short transaction in a worker thread; the call itself happens between two of them. What
was decided is in the ledger before the call is made, what came of it after; payloads appear there only as hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from anyio import to_thread
from sqlalchemy.orm import Session

from mcp_servers.gateway.allowance import Allowance
from mcp_servers.gateway.crossing import Crossing
from mcp_servers.gateway.grants import Grants
from mcp_servers.gateway.identity import Caller, Identity
from mcp_servers.gateway.model_queue import Blocked, ModelQueue
from mcp_servers.gateway.prices import Prices
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.till import ModelAsk, Till, Try
from mcp_servers.gateway.under_way import UnderWay
from mcp_servers.resilience.queue import Queue
from memory import ledger, usage
from memory.session import Database, Unwritable

#: At most one ledger row for bad tokens in this time; it carries the count of those before it.
BAD_TOKEN_EVERY = timedelta(minutes=1)

T = TypeVar("T")


class Door:
    """Everything that passes the gateway passes here. `clock` gives UTC-aware times, `new_id` fresh ids."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        grants: Grants,
        allowance: Allowance,
        prices: Prices,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        queue: Queue | None = None,
    ) -> None:
        self.grants = grants
        self.prices = prices
        self.clock = clock
        self.new_id = new_id
        self.till = Till(database, grants, allowance, prices, clock, new_id)
        self.queue = queue or Queue()
        self.till.freed = self.queue.freed
        self._turns = ModelQueue(self.queue, self.till, self.record, clock)
        self.allowance = allowance
        self.under_way = UnderWay()
        self._database = database
        self._identity = identity
        self._bad_tokens = 0
        self._bad_tokens_written: datetime | None = None

    async def identify(self, authorization: str | None) -> Caller:
        """Who is calling. Raises `Refused` (unauthenticated)."""
        return await to_thread.run_sync(self._identified, authorization)

    async def begin_model_call(
        self,
        authorization: str | None,
        prepare: Callable[[Caller], tuple[ModelAsk, T]],
        gone: Callable[[], Awaitable[bool]],
    ) -> tuple[Crossing, T]:
        """Who is calling, what for (`prepare` says, once that is known), and whether it may: the first try, paid for.

        One visit to a worker thread, for these are the steps that every model call pays. Raises `Refused`. `gone`: does nobody
        wait for the answer any more? Asked of calls that had to wait for their turn.
        """

        def begin() -> tuple[Caller, ModelAsk, T, Try | Blocked]:
            caller = self._identified(authorization)
            try:
                ask, more = prepare(caller)
            except Refused as refused:
                self._record(caller, "model.call", "request", "refused", {"why": refused.message}, None)
                raise
            if caller.kind == "member":
                ask = replace(ask, run=self.under_way.business_of(caller.team, ask.run))
            return caller, ask, more, self._turns.first(caller, ask)

        caller, ask, more, first = await _written(begin)
        if isinstance(first, Blocked):

            def still(ask: ModelAsk) -> Try:
                # Its token may have ended while it waited.
                self._identified(authorization)
                return self.till.begin(caller, ask)

            async def later(ask: ModelAsk) -> Try:
                return await _written(lambda: still(ask))

            ask, first = await self._turns.turn(caller, ask, first, later, gone)
        return Crossing(self.till, caller, ask, first), more

    async def record(
        self,
        caller: Caller,
        action: str,
        subject: str,
        outcome: str,
        detail: Mapping[str, Any],
        also: Callable[[Session], None] | None = None,
    ) -> None:
        """Writes a ledger entry, and in the same transaction whatever `also` writes."""
        await _written(lambda: self._record(caller, action, subject, outcome, detail, also))

    async def read(self, query: Callable[[Session], T]) -> T:
        """What a query finds, read in a worker thread."""

        def reading() -> T:
            with self._database.read() as session:
                return query(session)

        return await to_thread.run_sync(reading)

    def sweep(self) -> int:
        """Turns expired reservations into spent money, each with a usage row and a ledger entry; returns how many.

        Blocking: called by the kernel's tick, in a worker thread.
        """
        now = self.clock()
        with self._database.begin() as session:
            lost = usage.close_expired(session, now)
            for row in lost:
                detail = {"usd_micro": row.usd_micro, "run": row.run, "purpose": row.purpose}
                ledger.append(
                    session, ledger.Entry(f"{row.team}/{row.member}", "model.result", row.model, "expired", now, detail)
                )
        return len(lost)

    def _identified(self, authorization: str | None) -> Caller:
        try:
            return self._identity.identify(authorization, self.clock())
        except Refused:
            self._note_bad_token()
            raise

    def _record(
        self,
        caller: Caller,
        action: str,
        subject: str,
        outcome: str,
        detail: Mapping[str, Any],
        also: Callable[[Session], None] | None,
    ) -> None:
        with self._database.begin() as session:
            if also is not None:
                also(session)
            ledger.append(session, ledger.Entry(caller.address, action, subject, outcome, self.clock(), detail))

    def _note_bad_token(self) -> None:
        """Nobody can fill the ledger by guessing: one row a minute, with the count since the last."""
        now = self.clock()
        self._bad_tokens += 1
        if self._bad_tokens_written is not None and now - self._bad_tokens_written < BAD_TOKEN_EVERY:
            return
        detail = {"tries": self._bad_tokens}
        self._bad_tokens, self._bad_tokens_written = 0, now
        with self._database.begin() as session:
            ledger.append(session, ledger.Entry("unknown", "identify", "gateway", "refused", now, detail))


async def _written(write: Callable[[], T]) -> T:
    """What cannot be written down is not done: `Refused`, with the reason."""
    try:
        return await to_thread.run_sync(write)
    except Unwritable as error:
        raise Refused("overloaded", f"Nothing passes that cannot be written down: {error}.") from error


def sha256(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()
