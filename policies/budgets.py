"""`budgets.yaml`: what may be spent in a day and a month, by the company, a team, a member, and by one run. None: no limit."""

from __future__ import annotations

from pydantic import Field

from policies.facts import Frozen
from policies.money import Usd


class TeamBudget(Frozen):
    """What the law says of one team by name."""

    usd_day: Usd | None = None
    usd_month: Usd | None = None
    run_usd: Usd | None = None
    #: A day, and a month.
    members: dict[str, Usd] = Field(default_factory=dict)
    members_month: dict[str, Usd] = Field(default_factory=dict)


_NOTHING_SAID = TeamBudget()


class Budgets(Frozen):
    """Budgets in micro-dollars. The gateway reserves against all of them before a call."""

    company_usd_day: Usd | None = None
    company_usd_month: Usd | None = None
    #: For a team whose `team.yaml` says nothing.
    team_usd_day: Usd | None = None
    team_usd_month: Usd | None = None
    #: For a member nothing is said of below.
    member_usd_day: Usd | None = None
    member_usd_month: Usd | None = None
    run_usd: Usd | None = None
    #: Everything that one message led to, in all teams together.
    correlation_usd: Usd | None = None
    #: From here on a budget counts as nearly spent.
    warn_at_percent: int = Field(default=80, ge=1, le=100)
    teams: dict[str, TeamBudget] = Field(default_factory=dict)

    def team(self, team: str, asked_usd_micro: int | None = None) -> int | None:
        """The team's daily budget: what the law says of it by name, else what its `team.yaml` asks for, else the default."""
        named = self._named(team).usd_day
        if named is not None:
            return named
        return self.team_usd_day if asked_usd_micro is None else asked_usd_micro

    def member(self, team: str, member: str) -> int | None:
        """The member's own daily budget, within its team's."""
        return self._named(team).members.get(member, self.member_usd_day)

    def team_month(self, team: str) -> int | None:
        named = self._named(team).usd_month
        return self.team_usd_month if named is None else named

    def member_month(self, team: str, member: str) -> int | None:
        return self._named(team).members_month.get(member, self.member_usd_month)

    def run(self, team: str) -> int | None:
        """What one run of the team may cost."""
        named = self._named(team).run_usd
        return self.run_usd if named is None else named

    def _named(self, team: str) -> TeamBudget:
        return self.teams.get(team, _NOTHING_SAID)
