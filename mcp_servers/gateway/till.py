"""Money for model calls: each try of a request is held at its upper bound before it is made, and settled after it.

Everything here is one short transaction, inside the writer. What was decided, and why a request moved on along its chain, is
in the ledger in the transaction of the money. A refusal is given back, not raised: an exception would undo its row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mcp_servers.gateway.allowance import Allowance
from mcp_servers.gateway.chat import Failure
from mcp_servers.gateway.circuits import Circuits
from mcp_servers.gateway.grants import Grants
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.models import Plan
from mcp_servers.gateway.prices import Link, Prices, PriceUnknown, Tokens
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.refused_rows import RefusedRows
from mcp_servers.gateway.run_loops import RunLoops
from mcp_servers.monitor.observer import ModelCall, ModelEnd, Nobody, Observer
from mcp_servers.resilience.load import LoadGate, Overloaded
from memory import budgets, ledger, usage
from memory.rows import Rows
from policies.models import ModelsLaw

#: A reservation lives this much longer than the call may take.
GRACE = timedelta(seconds=60)


@dataclass(frozen=True)
class ModelAsk:
    """A request about to be made. `tokens_in` is an upper bound, `tokens_out` the most it may answer."""

    asked: str
    plan: Plan
    law: ModelsLaw
    purpose: str
    run: str
    tokens_in: int
    tokens_out: int
    deadline: timedelta
    request_sha256: str
    #: How long it may wait for its turn, within the deadline; and how long it did.
    may_wait: timedelta = timedelta(0)
    waited: timedelta = timedelta(0)


@dataclass
class Try:
    """One link being tried: what is held for it, what was passed over before it, what is left after it."""

    link: Link
    reservation: str
    held_usd_micro: int
    day: str
    began: datetime
    rest: tuple[Link, ...]
    #: (link, why) of every link before this one.
    moves: tuple[tuple[str, str], ...] = ()
    #: Tells whoever watches how it ended.
    ended: Callable[[ModelEnd], None] = Nobody.nothing

    @property
    def trail(self) -> str:
        """`openai/gpt-5-mini;rate_limit, anthropic/…;ok`: how the chain was gone through, for the caller to read."""
        return trail((*self.moves, (self.link.name, "ok")))


@dataclass
class Meter:
    """What a try turned out to cost. Whoever makes the call says so; unsaid, it counts at its upper bound."""

    tokens: Tokens | None = None
    free: bool = False
    outcome: str = "unmetered"
    answer_sha256: str | None = None

    def used(self, tokens: Tokens | None, answer_sha256: str) -> None:
        """The call was answered. None: the provider did not say, or not credibly, how many tokens that took."""
        self.tokens, self.answer_sha256 = tokens, answer_sha256
        self.outcome = "unmetered" if tokens is None else "ok"

    def failed(self, outcome: Failure, *, free: bool) -> None:
        """The call was not answered. `free` only if the provider certainly did not work on it."""
        self.outcome, self.free = outcome, free


class ChainRefused(Refused):
    """No link could be tried, or none is left. `trail` says what became of each."""

    def __init__(self, refused: Refused, moves: Sequence[tuple[str, str]]) -> None:
        super().__init__(refused.code, refused.message, refused.opens_at, refused.param)
        self.trail = trail(moves)


@dataclass
class Till:
    """`new_id` gives fresh ids for reservations."""

    grants: Grants
    allowance: Allowance
    prices: Prices
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    circuits: Circuits = field(default_factory=Circuits)
    loops: RunLoops = field(default_factory=RunLoops)
    load: LoadGate = field(default_factory=LoadGate)
    observer: Observer = field(default_factory=Nobody)
    refused_rows: RefusedRows = field(default_factory=RefusedRows)
    #: Told that a call ended, for those who wait for its place or its circuit.
    freed: Callable[[], None] = lambda: None

    def begin(self, rows: Rows, caller: Caller, ask: ModelAsk) -> Try | Refused:
        """Load, grant, loop, price, circuit, budget: the first link that may be tried, or why none; every no has its row."""
        try:
            self.load.check(self.clock())
            self.grants.check_model(caller, ask.asked)
            if caller.kind == "member" and ask.run != budgets.NO_RUN:
                self.loops.check(caller.team, ask.run, ask.request_sha256, ask.law.loops)
        except Overloaded as overloaded:
            self._refuse(rows, caller, ask, {"why": str(overloaded)})
            return Refused("overloaded", str(overloaded), overloaded.opens_at)
        except Refused as refused:
            self._refuse(rows, caller, ask, {"why": refused.message})
            return refused
        return self._hold(rows, caller, ask, self.allowance.limits(caller), ask.plan.links, ())

    def move_on(
        self, rows: Rows, caller: Caller, ask: ModelAsk, tried: Try, meter: Meter, *, time_left: bool
    ) -> Try | Refused | None:
        """Settles a failed try and holds the next, in one transaction. None: nothing is left to try; a refusal: nothing may be."""
        moves = (*tried.moves, (tried.link.name, meter.outcome))
        limits = self.allowance.limits(caller)
        self.end(rows, caller, ask, tried, meter)
        if not tried.rest or not time_left:
            return None
        return self._hold(rows, caller, ask, limits, tried.rest, moves)

    def end(self, rows: Rows, caller: Caller, ask: ModelAsk, tried: Try, meter: Meter) -> None:
        """Settles a try: what it turned out to cost takes the place of what was held."""
        now = self.clock()
        self.load.ended(tried.reservation)
        self.circuits.ended(tried.link, ask.law.circuit, meter.outcome, now)
        tokens = meter.tokens or Tokens(0, 0)
        spent = 0 if meter.free else tried.held_usd_micro
        if meter.tokens is not None:
            spent = self._cost(tried.link, meter.tokens, tried.held_usd_micro)
        took = int((now - tried.began).total_seconds() * 1000)
        try:
            counted = budgets.settle(rows, tried.reservation, spent, now)
        except LookupError:
            # The sweep was faster: the call outlived its reservation, which is spent and recorded already.
            counted = tried.held_usd_micro
        else:
            row = usage.Usage(
                day=tried.day,
                at=now,
                team=caller.team,
                member=caller.member,
                model=tried.link.name,
                purpose=ask.purpose,
                run=ask.run,
                tokens_in=tokens.input,
                tokens_out=tokens.output,
                usd_micro=counted,
                latency_ms=took,
                outcome=meter.outcome,
            )
            usage.record(rows, row)
        detail = {"reservation": tried.reservation, "run": ask.run, "usd_micro": counted, "ms": took}
        detail |= {"tokens_in": tokens.input, "tokens_out": tokens.output, "answer_sha256": meter.answer_sha256}
        self._write(rows, caller, "model.result", tried.link.name, meter.outcome, now, detail)
        tried.ended(ModelEnd(meter.outcome, tokens.input, tokens.output, counted, (now - tried.began).total_seconds()))
        self.freed()

    def _hold(
        self,
        rows: Rows,
        caller: Caller,
        ask: ModelAsk,
        limits: budgets.Limits,
        links: Sequence[Link],
        moves: tuple[tuple[str, str], ...],
    ) -> Try | ChainRefused:
        """The first of the links that may be tried, paid for; else the first reason why not. Writes a row either way."""
        now = self.clock()
        standing = budgets.stand(rows, caller.team, caller.member, ask.run, now)
        near = standing.near(limits)
        if near:
            self._warn(rows, caller, near, standing, limits, now)
        thrifty = ask.law.economy.applies(caller.team, near_limit=bool(near))
        if thrifty and not moves:
            links = self._cheapest_first((*links, *(link for link in ask.plan.cheaper if link not in links)), ask)
        refusals: list[Refused] = []
        for number, link in enumerate(links):
            reservation = self.new_id()
            try:
                held = self._reserve(rows, caller, ask, limits, link, reservation, standing, now)
            except Refused as refused:
                refusals.append(refused)
                moves = (*moves, (link.name, _reason(refused)))
                continue
            detail = _detail(ask) | {"reservation": reservation, "held_usd_micro": held}
            detail |= {"price": self.prices.basis(link)} | _chain_detail(ask, moves, thrifty=thrifty)
            self._write(rows, caller, "model.call", link.name, "allowed", now, detail)
            return self._seen(
                caller, ask, Try(link, reservation, held, standing.day, now, tuple(links[number + 1 :]), moves)
            )
        detail = _detail(ask) | {"why": refusals[0].message} | _chain_detail(ask, moves, thrifty=thrifty)
        self._write(rows, caller, "model.call", links[0].name, "refused", now, detail)
        return ChainRefused(refusals[0], moves)

    def _seen(self, caller: Caller, ask: ModelAsk, tried: Try) -> Try:
        """Counts the try as under way, and shows it to whoever watches."""
        self.load.began(tried.reservation, tried.began + ask.deadline + GRACE)
        link = tried.link
        tried.ended = self.observer.model_call(
            ModelCall(
                caller.team, caller.member, link.provider, link.name, ask.asked, ask.purpose, ask.run, ask.tokens_out
            )
        )
        return tried

    def _reserve(
        self,
        rows: Rows,
        caller: Caller,
        ask: ModelAsk,
        limits: budgets.Limits,
        link: Link,
        reservation: str,
        standing: budgets.Standing,
        now: datetime,
    ) -> int:
        """The upper bound in micro-dollars, held. Raises `Refused` and holds nothing."""
        held = self.prices.upper_bound(link, ask.tokens_in, ask.tokens_out)
        self.circuits.check(link, ask.law.circuit, now)
        lifetime = ask.deadline + GRACE
        hold = budgets.Hold(reservation, caller.team, caller.member, link.name, ask.purpose, ask.run, held, lifetime)
        try:
            budgets.reserve(rows, hold, limits, now, standing)
        except budgets.OverBudget as over:
            self.circuits.abandoned(link, now)
            raise Refused("over_budget", str(over), over.opens_at) from over
        return held

    def _cheapest_first(self, links: Sequence[Link], ask: ModelAsk) -> list[Link]:
        def bound(link: Link) -> tuple[bool, int]:
            try:
                return False, self.prices.upper_bound(link, ask.tokens_in, ask.tokens_out)
            except PriceUnknown:
                return True, 0

        return sorted(links, key=bound)

    def _warn(
        self,
        rows: Rows,
        caller: Caller,
        near: list[budgets.Account],
        standing: budgets.Standing,
        limits: budgets.Limits,
        now: datetime,
    ) -> None:
        for account in budgets.first_warnings(rows, near, standing.day):
            detail = {"period": account.period, "committed_usd_micro": standing.committed[account]}
            detail |= {"limit_usd_micro": limits.of(account), "at_percent": limits.warn_at_percent}
            self._write(rows, caller, "budget.warning", account.scope, "near", now, detail)

    def _cost(self, link: Link, tokens: Tokens, held: int) -> int:
        try:
            return self.prices.cost(link, tokens)
        except PriceUnknown:
            return held

    def _refuse(self, rows: Rows, caller: Caller, ask: ModelAsk, detail: Mapping[str, Any]) -> None:
        link = ask.plan.links[0].name
        self._write(rows, caller, "model.call", link, "refused", self.clock(), {**_detail(ask), **detail})

    def _write(
        self,
        rows: Rows,
        caller: Caller,
        action: str,
        subject: str,
        outcome: str,
        now: datetime,
        detail: Mapping[str, Any],
    ) -> None:
        entry = ledger.Entry(caller.address, action, subject, outcome, now, detail)
        for row in self.refused_rows.rows_for(entry) if outcome == "refused" else (entry,):
            ledger.append(rows, row)


def trail(moves: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{link};{why}" for link, why in moves)


def _detail(ask: ModelAsk) -> dict[str, Any]:
    detail = {"asked": ask.asked, "purpose": ask.purpose, "run": ask.run}
    detail |= {"waited_ms": int(ask.waited.total_seconds() * 1000)} if ask.waited else {}
    return detail | {"request_sha256": ask.request_sha256}


def _chain_detail(ask: ModelAsk, moves: Sequence[tuple[str, str]], *, thrifty: bool) -> dict[str, Any]:
    """What is worth saying of the chain: its name, what was passed over, and that a cheaper order was used."""
    detail: dict[str, Any] = {"chain": ask.plan.chain} if ask.plan.chain else {}
    if moves:
        detail["moved_on_from"] = trail(moves)
    elif ask.plan.skipped:
        detail["skipped"] = dict(ask.plan.skipped)
    return detail | ({"economy": True} if thrifty else {})


def _reason(refused: Refused) -> str:
    return "circuit_open" if refused.code == "upstream_failed" else refused.code
