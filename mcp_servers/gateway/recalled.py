"""What an earlier process let through, read again from the ledger: a restart gives no run and no member a second helping, and a
provider that was left alone is left alone.

Counting on each call stays in memory, where it costs nothing; the ledger has every call anyway, so nothing is written twice.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from typing import Any, get_args

from sqlalchemy.orm import Session

from mcp_servers.gateway.chat import Failure
from mcp_servers.gateway.circuits import CircuitLaw, Circuits
from mcp_servers.gateway.prices import Link
from mcp_servers.gateway.rates import WINDOW, Rates
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.run_loops import RunLoops
from memory import budgets, ledger
from memory.tables import AuditRow

#: So many of the ledger's last rows are read, a fraction of a second's work; a run that made no call within them begins anew.
ROWS = 10_000
_FAILED = frozenset(get_args(Failure))


def recall(session: Session, rates: Rates, loops: RunLoops, circuits: Circuits, law: CircuitLaw, now: datetime) -> None:
    """Fills them from the ledger's last rows. Called once, before anything passes."""
    for row in ledger.latest(session, ROWS):
        if row.action in ("model.call", "model.result"):
            _replay(circuits, law, row)
        if row.outcome != "allowed" or "/" not in row.actor:
            continue
        if row.action == "tool.call" and row.at > now - WINDOW:
            rates.recall(row.actor, row.subject, row.at)
        elif row.action == "model.call":
            detail: dict[str, Any] = json.loads(row.detail)
            run, request = detail.get("run", budgets.NO_RUN), detail.get("request_sha256")
            if run != budgets.NO_RUN and isinstance(request, str) and not _goes_on(detail):
                loops.recall(row.actor.partition("/")[0], run, request)


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
