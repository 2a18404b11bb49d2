"""`budgets.yaml`: what may be spent in a day and a month, by the company, a team, a member, and by one run. None: no limit."""

from __future__ import annotations

from pydantic import Field

from policies.facts import LawPart
from policies.money import Usd


class TeamBudget(LawPart):
    """What the law says of one team by name."""

    usd_day: Usd | None = None
    """The team's budget for a day; it goes before what its team.yaml asks for."""
    usd_month: Usd | None = None
    """The team's budget for a month."""
    run_usd: Usd | None = None
    """What one task or conversation of the team may cost."""
    members: dict[str, Usd] = Field(default_factory=dict)
    """Members' own budgets for a day, by name."""
    members_month: dict[str, Usd] = Field(default_factory=dict)
    """Members' own budgets for a month, by name."""


_NOTHING_SAID = TeamBudget()


class Budgets(LawPart):
    """Budgets in micro-dollars. The gateway reserves against all of them before a call."""

    company_usd_day: Usd | None = None
    """All teams together, a day (UTC)."""
    company_usd_month: Usd | None = None
    """All teams together, a month (UTC)."""
    team_usd_day: Usd | None = None
    """Any one team whose `team.yaml` says nothing, a day."""
    team_usd_month: Usd | None = None
    """Any one team, a month."""
    member_usd_day: Usd | None = None
    """Any one member nothing is said of below, a day."""
    member_usd_month: Usd | None = None
    """Any one member, a month."""
    run_usd: Usd | None = None
    """What one task or conversation may cost."""
    correlation_usd: Usd | None = None
    """Everything that one message led to, in all teams together."""
    warn_at_percent: int = Field(default=80, ge=1, le=100)
    """Per cent of a budget, from which on it counts as nearly spent."""
    teams: dict[str, TeamBudget] = Field(default_factory=dict)
    """Teams by name, where they differ from the lines above."""

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
