"""How much a caller may spend: the law's daily budgets, as limits by scope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from mcp_servers.gateway.identity import Caller
from memory import budgets

MICRO = 1_000_000


class BudgetLaw(Protocol):
    """The part of the law that limits spending, in micro-dollars a day (see `policies.budgets.Budgets`)."""

    @property
    def company_usd_day(self) -> int | None: ...
    def team(self, team: str, asked_usd_micro: int | None = None) -> int | None: ...
    def member(self, team: str, member: str) -> int | None: ...


@dataclass(frozen=True)
class Allowance:
    """`law` gives the budgets as they stand now; `team_budget_usd(team)` what the team's own spec says, None if unknown."""

    law: Callable[[], BudgetLaw]
    team_budget_usd: Callable[[str], Decimal | None]

    def limits(self, caller: Caller) -> dict[str, int]:
        """Micro-dollars a day by scope; a scope that is not there has no limit. A person's own calls count for the company."""
        law = self.law()
        company, team, member = budgets.scopes(caller.team, caller.member)
        limits = {company: law.company_usd_day}
        if caller.kind == "member":
            asked = self.team_budget_usd(caller.team)
            limits[team] = law.team(caller.team, None if asked is None else int(asked * MICRO))
            limits[member] = law.member(caller.team, caller.member)
        return {scope: limit for scope, limit in limits.items() if limit is not None}
