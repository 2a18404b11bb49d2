"""The one door: who are you, may you, can you afford it, do it, settle, write it down. In this order, in this file.

Each step that touches the database is one short transaction in a worker thread; the call itself happens between two of them. What
was decided is in the ledger before the call is made, what came of it after; payloads appear there only as hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

import anyio
from anyio import to_thread
from sqlalchemy.orm import Session

from mcp_servers.gateway.allowance import Allowance
from mcp_servers.gateway.grants import Grants
from mcp_servers.gateway.identity import Caller, Identity
from mcp_servers.gateway.prices import Link, Prices, PriceUnknown, Tokens
from mcp_servers.gateway.refusals import Refused
from memory import budgets, ledger, usage
from memory.session import Database

#: A reservation lives this much longer than the call may take.
GRACE = timedelta(seconds=60)
#: At most one ledger row for bad tokens in this time; it carries the count of those before it.
BAD_TOKEN_EVERY = timedelta(minutes=1)

T = TypeVar("T")


@dataclass(frozen=True)
class ModelAsk:
    """A model call about to be made. `tokens_in` is an upper bound, `tokens_out` the most it may answer."""

    asked: str
    link: Link
    purpose: str
    run: str
    tokens_in: int
    tokens_out: int
    timeout: timedelta
    request_sha256: str


class Meter:
    """What a call turned out to cost. Whoever makes the call says so; unsaid, it counts at its upper bound."""

    def __init__(self) -> None:
        self.tokens: Tokens | None = None
        self.free = False
        self.outcome = "unmetered"
        self.answer_sha256: str | None = None

    def used(self, tokens: Tokens | None, answer_sha256: str) -> None:
        """The call was answered. None: the provider did not say, or not credibly, how many tokens that took."""
        self.tokens = tokens
        self.answer_sha256 = answer_sha256
        self.outcome = "unmetered" if tokens is None else "ok"

    def failed(self, outcome: Literal["failed", "timeout", "broken"], *, free: bool) -> None:
        """The call was not answered. `free` only if the provider certainly did not work on it."""
        self.outcome, self.free = outcome, free


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
    ) -> None:
        self.grants = grants
        self.prices = prices
        self.clock = clock
        self.new_id = new_id
        self._database = database
        self._identity = identity
        self._allowance = allowance
        self._bad_tokens = 0
        self._bad_tokens_written: datetime | None = None

    async def identify(self, authorization: str | None) -> Caller:
        """Who is calling. Raises `Refused` (unauthenticated)."""
        try:
            return await to_thread.run_sync(self._identity.identify, authorization, self.clock())
        except Refused:
            await to_thread.run_sync(self._note_bad_token)
            raise

    @asynccontextmanager
    async def model_call(self, caller: Caller, ask: ModelAsk) -> AsyncGenerator[Meter]:
        """Holds the call's upper bound while the block makes the call, and settles after it. Raises `Refused`."""
        reservation, held = await to_thread.run_sync(self._reserve, caller, ask)
        meter, began = Meter(), self.clock()
        try:
            yield meter
        except BaseException:
            if meter.outcome == "unmetered":
                meter.failed("broken", free=False)
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._settle, caller, ask, meter, reservation, held, began)

    async def tool_call(
        self,
        caller: Caller,
        tool: str,
        arguments_sha256: str,
        run: str,
        do: Callable[[], Awaitable[T]],
        judge: Callable[[T], tuple[str, str]],
    ) -> T:
        """Makes a granted tool call. `judge` gives the result's outcome (`ok`, `error`) and hash. Raises `Refused`."""
        detail = {"arguments_sha256": arguments_sha256, "run": run}
        try:
            self.grants.check_tool(caller, tool)
        except Refused as refused:
            await self.record(caller, "tool.call", tool, "refused", detail | {"why": refused.message})
            raise
        await self.record(caller, "tool.call", tool, "allowed", detail)
        began, outcome, result_sha256 = self.clock(), "broken", None
        try:
            result = await do()
            outcome, result_sha256 = judge(result)
            return result
        except Refused as refused:
            outcome = refused.code
            raise
        finally:
            ended = {"result_sha256": result_sha256, "run": run, "ms": _ms(self.clock() - began)}
            with anyio.CancelScope(shield=True):
                await self.record(caller, "tool.result", tool, outcome, ended)

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
        await to_thread.run_sync(self._record, caller, action, subject, outcome, detail, also)

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

    def _reserve(self, caller: Caller, ask: ModelAsk) -> tuple[str, int]:
        """Grant, price, budget; the reservation and the amount held. The ledger entry is in the transaction of the hold."""
        now, reservation = self.clock(), self.new_id()
        detail: dict[str, Any] = {"asked": ask.asked, "purpose": ask.purpose, "run": ask.run}
        detail |= {"request_sha256": ask.request_sha256, "reservation": reservation}
        try:
            self.grants.check_model(caller, ask.asked)
            held = self.prices.upper_bound(ask.link, ask.tokens_in, ask.tokens_out)
        except Refused as refused:
            self._record(caller, "model.call", ask.link.name, "refused", detail | {"why": refused.message}, None)
            raise
        detail |= {"held_usd_micro": held, "price": self.prices.basis(ask.link)}
        limits, lifetime = self._allowance.limits(caller), ask.timeout + GRACE
        hold = budgets.Hold(
            reservation, caller.team, caller.member, ask.link.name, ask.purpose, ask.run, held, lifetime
        )
        over: budgets.OverBudget | None = None
        with self._database.begin() as session:
            try:
                budgets.reserve(session, hold, limits, now)
            except budgets.OverBudget as error:
                over, detail = error, detail | {"why": str(error)}
            outcome = "refused" if over else "allowed"
            ledger.append(session, ledger.Entry(caller.address, "model.call", ask.link.name, outcome, now, detail))
        if over is not None:
            raise Refused("over_budget", str(over), over.opens_at) from over
        return reservation, held

    def _settle(
        self, caller: Caller, ask: ModelAsk, meter: Meter, reservation: str, held: int, began: datetime
    ) -> None:
        now = self.clock()
        spent = 0 if meter.free else held if meter.tokens is None else self._cost(ask.link, meter.tokens, held)
        tokens = meter.tokens or Tokens(0, 0)
        with self._database.begin() as session:
            try:
                counted = budgets.settle(session, reservation, spent, now)
            except LookupError:
                # The sweep was faster: the call outlived its reservation, which is spent and recorded already.
                counted = held
            else:
                usage.record(
                    session,
                    usage.Usage(
                        day=budgets.day_of(began),
                        at=now,
                        team=caller.team,
                        member=caller.member,
                        model=ask.link.name,
                        purpose=ask.purpose,
                        run=ask.run,
                        tokens_in=tokens.input,
                        tokens_out=tokens.output,
                        usd_micro=counted,
                        latency_ms=_ms(now - began),
                        outcome=meter.outcome,
                    ),
                )
            detail = {"reservation": reservation, "run": ask.run, "usd_micro": counted, "ms": _ms(now - began)}
            detail |= {"tokens_in": tokens.input, "tokens_out": tokens.output, "answer_sha256": meter.answer_sha256}
            ledger.append(
                session, ledger.Entry(caller.address, "model.result", ask.link.name, meter.outcome, now, detail)
            )

    def _cost(self, link: Link, tokens: Tokens, held: int) -> int:
        try:
            return self.prices.cost(link, tokens)
        except PriceUnknown:
            return held

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


def sha256(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
