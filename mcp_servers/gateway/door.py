"""The one door: who are you, may you, can you afford it, do it, settle, write it down. In this order, in this file.

Each step that touches the database is one visit to the writer; the call itself happens between two of them. What was
decided is in the ledger before the call is made, what came of it after; payloads appear there only as hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
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
from mcp_servers.gateway.refused_rows import RefusedRows
from mcp_servers.gateway.till import ModelAsk, Till, Try
from mcp_servers.gateway.under_way import UnderWay
from mcp_servers.resilience.queue import Queue
from memory import ledger, usage
from memory.rows import Rows, rows_of
from memory.session import Unwritable
from memory.writer import Writer

T = TypeVar("T")


@dataclass(frozen=True)
class Act:
    """What somebody wants to do, as it will stand in the ledger. `detail` holds no payload, only its hash."""

    action: str
    subject: str
    detail: Mapping[str, Any]


class Door:
    """Everything that passes the gateway passes here. `clock` gives UTC-aware times, `new_id` fresh ids."""

    def __init__(
        self,
        writer: Writer,
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
        self.refused_rows = RefusedRows()
        self.till = Till(grants, allowance, prices, clock, new_id, refused_rows=self.refused_rows)
        self.queue = queue or Queue()
        self.till.freed = self.queue.freed
        self._turns = ModelQueue(self.queue, self.till, self.record, clock)
        self.allowance = allowance
        self.under_way = UnderWay()
        self._writer = writer
        self._identity = identity

    def claimed(self, authorization: str | None) -> Caller | None:
        """Who the caller's token says it is, by its signature alone; None for a bad one. It passes nobody: `identify` does."""
        try:
            return self._identity.claimed(authorization, self.clock())
        except Refused:
            return None

    async def identify(self, authorization: str | None) -> Caller:
        """Who is calling. Raises `Refused` (unauthenticated)."""
        try:
            return await to_thread.run_sync(self._identity.identify, authorization, self.clock())
        except Refused:
            await self.note_unknown()
            raise

    async def note_unknown(self) -> None:
        """Somebody came with a bad token of a kind that is checked elsewhere."""
        await self._written(self._note_bad_token)

    async def begin(self, authorization: str | None, act: Act, decide: Callable[[Caller], None]) -> Caller:
        """Who is calling, and whether it may: `decide` raises `Refused` if not. Either way the ledger says so when this returns.

        One visit to the writer, for these are the steps that every tool call pays. `decide` runs there, one at a time. Raises
        `Refused`: unauthenticated (nobody's act is written down), or as decided; and whatever else `decide` raises, with no row.
        """

        def begun(rows: Rows) -> Caller | Refused:
            caller = self._identified(rows, authorization)
            if isinstance(caller, Refused):
                return caller
            try:
                decide(caller)
            except Refused as refused:
                self._append(rows, caller, act, "refused", {"why": refused.message})
                return refused
            self._append(rows, caller, act, "allowed")
            return caller

        return await self._written(begun)

    async def begin_model_call(
        self,
        authorization: str | None,
        prepare: Callable[[Caller], tuple[ModelAsk, T]],
        gone: Callable[[], Awaitable[bool]],
    ) -> tuple[Crossing, T]:
        """Who is calling, what for (`prepare` says, once that is known), and whether it may: the first try, paid for.

        One visit to the writer, for these are the steps that every model call pays. Raises `Refused`. `gone`: does nobody
        wait for the answer any more? Asked of calls that had to wait for their turn.
        """

        def begin(rows: Rows) -> tuple[Caller, ModelAsk, T, Try | Blocked] | Refused:
            caller = self._identified(rows, authorization)
            if isinstance(caller, Refused):
                return caller
            try:
                ask, more = prepare(caller)
            except Refused as refused:
                self._append(rows, caller, Act("model.call", "request", {}), "refused", {"why": refused.message})
                return refused
            if caller.kind == "member":
                ask = replace(ask, run=self.under_way.business_of(caller.team, ask.run))
            first = self._turns.first(rows, caller, ask)
            return first if isinstance(first, Refused) else (caller, ask, more, first)

        caller, ask, more, first = await self._written(begin)
        if isinstance(first, Blocked):

            def still(rows: Rows, ask: ModelAsk) -> Try | Refused:
                # Its token may have ended while it waited.
                known = self._identified(rows, authorization)
                return known if isinstance(known, Refused) else self.till.begin(rows, caller, ask)

            async def later(ask: ModelAsk) -> Try:
                return await self._written(lambda rows: still(rows, ask))

            ask, first = await self._turns.turn(caller, ask, first, later, gone)
        return Crossing(self._writer, self.till, caller, ask, first), more

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
        act = Act(action, subject, detail)
        if also is None:
            await self._written(lambda rows: self._append(rows, caller, act, outcome))
            return

        def write() -> None:
            with self._writer.database.begin() as session:
                also(session)
                self._append(rows_of(session), caller, act, outcome)

        await _passed(to_thread.run_sync(write))

    async def read(self, query: Callable[[Session], T]) -> T:
        """What a query finds, read in a worker thread."""

        def reading() -> T:
            with self._writer.database.read() as session:
                return query(session)

        return await to_thread.run_sync(reading)

    def sweep(self) -> int:
        """Turns expired reservations into spent money, each with a usage row and a ledger entry; returns how many. Writes down what
        refusals were only counted for a minute.

        Blocking: called by the kernel's tick, in a worker thread.
        """
        return self._writer.write_and_wait(self._swept)

    def settle_refusals(self) -> None:
        """Writes down every refusal that was only counted so far: before the process ends. Blocking. Raises `Unwritable`."""
        due = self.refused_rows.due(self.clock(), at_once=True)

        def settled(rows: Rows) -> None:
            for row in due:
                ledger.append(rows, row)

        if due:
            self._writer.write_and_wait(settled)

    def _swept(self, rows: Rows) -> int:
        now = self.clock()
        for row in self.refused_rows.due(now):
            ledger.append(rows, row)
        lost = usage.close_expired(rows, now)
        for row in lost:
            detail = {"usd_micro": row.usd_micro, "run": row.run, "purpose": row.purpose}
            actor = f"{row.team}/{row.member}"
            ledger.append(rows, ledger.Entry(actor, "model.result", row.model, "expired", now, detail))
        return len(lost)

    async def _written(self, work: Callable[[Rows], T | Refused]) -> T:
        """Refusals come back as values, for an exception would undo their rows; here they are raised."""
        found = await _passed(self._writer.write(work))
        if isinstance(found, Refused):
            raise found
        return found

    def _identified(self, rows: Rows, authorization: str | None) -> Caller | Refused:
        try:
            return self._identity.identify(authorization, self.clock(), rows)
        except Refused as refused:
            self._note_bad_token(rows)
            return refused

    def _append(
        self, rows: Rows, caller: Caller, act: Act, outcome: str, more: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        detail = {**act.detail, **more}
        entry = ledger.Entry(caller.address, act.action, act.subject, outcome, self.clock(), detail)
        for row in self.refused_rows.rows_for(entry) if outcome == "refused" else (entry,):
            ledger.append(rows, row)

    def _note_bad_token(self, rows: Rows) -> None:
        entry = ledger.Entry("unknown", "identify", "gateway", "refused", self.clock(), {"why": "no valid token"})
        for row in self.refused_rows.rows_for(entry):
            ledger.append(rows, row)


async def _passed(writing: Awaitable[T]) -> T:
    """What cannot be written down is not done: `Refused`, with the reason."""
    try:
        return await writing
    except Unwritable as error:
        raise Refused("overloaded", f"Nothing passes that cannot be written down: {error}.") from error


def sha256(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()
