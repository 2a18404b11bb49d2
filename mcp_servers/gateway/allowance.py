"""How much a caller may spend: the law's budgets, as limits by account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from mcp_servers.gateway.identity import Caller
from memory import budgets

MICRO = 1_000_000


class BudgetLaw(Protocol):
    """The part of the law that limits spending, in micro-dollars (see `policies.budgets.Budgets`)."""

    @property
    def company_usd_day(self) -> int | None: ...
    @property
    def company_usd_month(self) -> int | None: ...
    @property
    def correlation_usd(self) -> int | None: ...
    @property
    def warn_at_percent(self) -> int: ...
    def team(self, team: str, asked_usd_micro: int | None = None) -> int | None: ...
    def team_month(self, team: str) -> int | None: ...
    def member(self, team: str, member: str) -> int | None: ...
    def member_month(self, team: str, member: str) -> int | None: ...
    def run(self, team: str) -> int | None: ...


@dataclass(frozen=True)
class Allowance:
    """`law` gives the budgets as they stand now; `team_budget_usd(team)` what the team's own spec says, None if unknown."""

    law: Callable[[], BudgetLaw]
    team_budget_usd: Callable[[str], Decimal | None]

    def limits(self, caller: Caller) -> budgets.Limits:
        """The limits on this caller's calls; what is not there has none. A person's own calls count for the company."""
        law = self.law()
        company, team, member = budgets.scopes(caller.team, caller.member)
        day, month = {company: law.company_usd_day}, {company: law.company_usd_month}
        run: int | None = None
        if caller.kind == "member":
            asked = self.team_budget_usd(caller.team)
            day[team] = law.team(caller.team, None if asked is None else int(asked * MICRO))
            day[member] = law.member(caller.team, caller.member)
            month[team] = law.team_month(caller.team)
            month[member] = law.member_month(caller.team, caller.member)
            run = law.run(caller.team)
        return budgets.Limits(_given(day), _given(month), run, law.warn_at_percent)

    def together(self) -> int | None:
        """Micro-dollars for everything that one message led to, in all teams."""
        return self.law().correlation_usd


def _given(limits: dict[str, int | None]) -> dict[str, int]:
    return {scope: limit for scope, limit in limits.items() if limit is not None}
