"""What an earlier process let through, read again from the ledger: a restart gives no run and no member a second helping, and a
provider that was left alone is left alone.

Counting on each call stays in memory, where it costs nothing; the ledger has every call anyway, so nothing is written twice.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from sqlalchemy.orm import Session

from mcp_servers.gateway.chat import Failure
from mcp_servers.gateway.circuits import CircuitLaw, Circuits
from mcp_servers.gateway.noticed import Noticed
from mcp_servers.gateway.prices import Link
from mcp_servers.gateway.rates import WINDOW, Rates
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.run_loops import RunLoops, Step
from memory import budgets, ledger
from memory.tables import AuditRow

#: So many of the ledger's last rows are read, a fraction of a second's work; a run that made no call within them begins anew.
ROWS = 10_000
_FAILED = frozenset(get_args(Failure))


@dataclass(frozen=True)
class Memory:
    """What is counted in memory."""

    rates: Rates
    loops: RunLoops
    circuits: Circuits
    noticed: Noticed


def recall(session: Session, memory: Memory, law: CircuitLaw, now: datetime) -> None:
    """Fills it from the ledger's last rows. Called once, before anything passes."""
    for row in ledger.latest(session, ROWS):
        if row.action not in ("model.call", "model.result", "tool.call"):
            continue
        if row.action != "tool.call":
            _replay(memory.circuits, law, row)
        if "/" not in row.actor:
            continue
        detail: dict[str, Any] = json.loads(row.detail)
        if row.outcome == "allowed":
            if row.action == "tool.call" and row.at > now - WINDOW:
                memory.rates.recall(row.actor, row.subject, row.at)
            if (step := _step(row, detail)) is not None:
                memory.loops.count(step, row.at)
        elif loop_of := detail.get("loop_of"):
            memory.noticed.loop(str(loop_of), str(detail.get("why")), row.at)
        elif lie := detail.get("not_counted"):
            memory.noticed.false_counts(row.subject, str(lie.get("why")), row.at)


def _step(row: AuditRow, detail: dict[str, Any]) -> Step | None:
    """The call that the row let through, if it counts."""
    team, _, member = row.actor.partition("/")
    run = str(detail.get("run", budgets.NO_RUN))
    if row.action == "tool.call":
        arguments = detail.get("arguments_sha256")
        return Step(team, member, run, "tool", f"{row.subject} {arguments}") if arguments else None
    request = detail.get("request_sha256")
    if not isinstance(request, str) or _goes_on(detail):
        return None
    return Step(team, member, run, "model", request, str(detail.get("turn_sha256", request)))


def _replay(circuits: Circuits, law: CircuitLaw, row: AuditRow) -> None:
    """What the circuit of the row's link made of it then."""
    provider, _, model = row.subject.partition("/")
    if not model:
        # Our own models: they have no circuit.
        return
    link = Link(provider, model)
    if row.action == "model.result":
        # A call that the sweep gave up told its circuit nothing.
        if row.outcome != "expired":
            circuits.ended(link, law, row.outcome, row.at)
    elif row.outcome == "allowed":
        with suppress(Refused):
            circuits.check(link, law, row.at)


def _goes_on(detail: dict[str, Any]) -> bool:
    """Whether the row is a further try of a call that was counted at its first: a link before it was asked, and failed."""
    moves = str(detail.get("moved_on_from", "")).split(", ")
    return any(move.rpartition(";")[2] in _FAILED for move in moves)
