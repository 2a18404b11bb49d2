"""What the tools behind the gateway answered, as far as this team uses it. Unknown fields are passed over."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator


class Seen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TeamRow(Seen):
    """A living team, from registry__query_teams."""

    name: str
    purpose: str = ""
    department: str = ""
    placement: str = ""
    skills: tuple[str, ...] = ()


class ChangeRow(Seen):
    """A change, from git__get_change and git__list_changes. `progress` says how far a merged one has come."""

    number: int
    state: Literal["open", "merged", "closed"]
    progress: str = ""
    kind: str | None = None
    team: str | None = None
    title: str = ""
    rolled_back_by: int | None = None
    verdict: dict[str, Any] | None = None


class TeamStatus(Seen):
    """How a team is, from cluster__team_status. `tree` is what main wants, `verified` the trees once found healthy."""

    team: str
    state: str
    reason: str = ""
    tree: str | None = None
    verified: tuple[str, ...] = Field(default=(), validation_alias=AliasChoices("verified", "verified_trees"))

    @field_validator("reason", mode="before")
    @classmethod
    def _may_be_absent(cls, value: object) -> object:
        return "" if value is None else value


class Forecast(Seen):
    """From factory__forecast_team_cost. Decimal US dollars, as text."""

    usd_month: str
    basis: tuple[str, ...] = ()


class Log(Seen):
    """From cluster__team_log."""

    diagnostics: tuple[str, ...] = ()
    conversation: tuple[str, ...] = ()


def blocking(verdict: dict[str, Any] | None) -> tuple[str, ...]:
    """`rule: reason` of each rule of a verdict that does not say yes."""
    if verdict is None:
        return ()
    rules = [child for child in verdict.get("children") or [] if child.get("outcome") != "allow"]
    if not rules and verdict.get("outcome") != "allow":
        rules = [verdict]
    return tuple(f"{rule.get('rule')}: {rule.get('reason')}" for rule in rules)
