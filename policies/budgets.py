"""`budgets.yaml`: what may be spent in a day, by the company, a team, a member. None is no limit, 0 is nothing."""

from __future__ import annotations

from pydantic import Field

from policies.facts import Frozen
from policies.money import Usd


class TeamBudget(Frozen):
    """What the law says of one team by name."""

    usd_day: Usd | None = None
    members: dict[str, Usd] = Field(default_factory=dict)


class Budgets(Frozen):
    """Daily budgets, in micro-dollars. The gateway reserves against all three before a call."""

    company_usd_day: Usd | None = None
    #: For a team whose `team.yaml` says nothing.
    team_usd_day: Usd | None = None
    #: For a member nothing is said of below.
    member_usd_day: Usd | None = None
    teams: dict[str, TeamBudget] = Field(default_factory=dict)

    def team(self, team: str, asked_usd_micro: int | None = None) -> int | None:
        """The team's daily budget: what the law says of it by name, else what its `team.yaml` asks for, else the default."""
        named = self.teams.get(team)
        if named is not None and named.usd_day is not None:
            return named.usd_day
        return self.team_usd_day if asked_usd_micro is None else asked_usd_micro

    def member(self, team: str, member: str) -> int | None:
        """The member's own daily budget, within its team's."""
        named = self.teams.get(team)
        if named is not None and member in named.members:
            return named.members[member]
        return self.member_usd_day
