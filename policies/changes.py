"""`changes.yaml`: what may be changed, by whom, where, and who has to agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic.config import JsonDict

from policies.facts import Kind, LawPart
from policies.kinds import Ground
from policies.limits import Count
from policies.money import Usd
from policies.overrides import Login
from policies.patterns import Pattern

Zone = Literal["teams", "meta_teams", "policies", "catalog", "."]
"""A folder at the top of the repository; `catalog` is the folders in mcp_servers/catalog, `.` is everything."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]

#: Whom GitHub shows for what a deleted account left. Nobody: neither a person nor an agent with rights.
GHOST = "ghost"


class From(LawPart):
    """So many approvals by people of one group."""

    group: Name
    """A name under `groups`."""
    approvals: Annotated[int, Field(ge=1, strict=True)] = 1
    """By so many different people of the group; 1 or more."""


class KindLaw(LawPart):
    """Who may propose a kind of change, where, and how many people must have approved it."""

    agents_in: tuple[Literal["teams", "catalog"], ...]
    """The top folders in which agents may propose it: `teams` and `catalog` at the most, which is not a matter of policy."""
    people_in: tuple[Zone, ...]
    """The top folders in which people may propose it; `.` is everywhere, `catalog` the folders of mcp_servers/catalog, [] nowhere."""
    approvals: Count
    """So many people must have approved exactly the commit that would be merged. Nobody approves what they opened or asked for."""
    approvals_from: tuple[From, ...] = ()
    """Among the approvals, so many from each of these groups."""
    only_paths: tuple[Pattern, ...] | None = Field(default=None, min_length=1)
    """If given, every path must match one of these patterns, whole."""


class GroundLaw(LawPart):
    """Who has to agree to a change that touches this part of the repository, whatever its kind and lane."""

    approvals: Count = 0
    """At least so many people, whatever the kind or a lane of auto_merge says."""
    approvals_from: tuple[From, ...] = ()
    """And so many of each of these groups."""


class AutoMerge(LawPart):
    """A lane for changes of low risk: where all conditions hold, the kind's approvals are not asked for.

    It never carries the constitution, and never a budget that rises: that is not a matter of policy.
    """

    kinds: tuple[Literal[Kind.CHANGE_TEAM, Kind.ROLLBACK_TEAM], ...] = Field(min_length=1)
    """The kinds of change that this lane carries."""
    files_at_most: Count | None = None
    """It touches no more files than this."""
    only_paths: tuple[Pattern, ...] | None = Field(default=None, min_length=1)
    """Every path matches one of these patterns, whole (RE2)."""
    requesters: tuple[Pattern, ...] | None = Field(default=None, min_length=1)
    """If given, who had it opened must match one of these patterns (`devops/.*`)."""
    forecast_usd_month_at_most: Usd | None = None
    """Its forecast for a month, in US dollars, is known and not above this."""
    no_new_tools: bool = True
    """The same tools for the same members, or fewer."""
    same_shape: bool = True
    """As many members as before, on the same framework."""


_BY_PEOPLE: JsonDict = {"properties": {"approvals": {"minimum": 1}, "agents_in": {"maxItems": 0}}}
#: What a schema can say of the kinds that change the constitution; `law` has to be there, or it could not be changed.
_CONSTITUTION: JsonDict = {
    "required": [Kind.LAW.value],
    "properties": {kind.value: _BY_PEOPLE for kind in (Kind.LAW, Kind.PLATFORM, Kind.MIXED)},
}


class Changes(LawPart):
    """`changes.yaml`"""

    people: tuple[Login, ...] = Field(
        min_length=1, json_schema_extra={"allOf": [{"items": {"not": {"pattern": r"\[bot\]$"}}}]}
    )
    """Logins of people: only they approve. Nobody can be a person and an agent."""
    agents: tuple[Login, ...]
    """Logins under which agents propose. Whoever is in neither list is treated as an agent."""
    groups: dict[Name, Annotated[tuple[Login, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Names for some of the people, for `approvals_from`."""
    target: str = "main"
    """The branch where changes go, and where the law is read."""
    agents_branches: str = Field(default="auto/", min_length=1)
    """How the branches begin that agents' changes come from."""
    kinds: dict[Kind, KindLaw] = Field(json_schema_extra={"allOf": [_CONSTITUTION]})
    """For each kind of change: who may propose it, where, and how many people have to agree."""
    zones: dict[Ground, GroundLaw] = Field(default_factory=dict)
    """For a part of the repository (constitution, teams, catalogue): who has to agree on top of what the kind demands."""
    auto_merge: dict[Name, AutoMerge] = Field(default_factory=dict)
    """Lanes, by a name of your own, for changes of low risk: where all conditions of one hold, the kind's approvals are not asked for."""
    reserved_names: dict[str, Literal["teams", "meta_teams"]] = Field(default_factory=dict)
    """Team name -> the only zone it may live in."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if both := {name.casefold() for name in self.people} & {name.casefold() for name in self.agents}:
            raise ValueError(f"both a person and an agent: {', '.join(sorted(both))}; list each login once")
        if bots := [name for name in self.people if name.endswith("[bot]")]:
            raise ValueError(f"people: {bots[0]} is an App; only people approve, so list it under agents")
        for kind in (Kind.LAW, Kind.PLATFORM, Kind.MIXED):
            if kind in self.kinds and not self.kinds[kind].approvals:
                raise ValueError(f"kinds.{kind}.approvals: the constitution wants a second person; write 1 or more")
            if kind in self.kinds and self.kinds[kind].agents_in:
                raise ValueError(f"kinds.{kind}.agents_in: agents may not change what judges them; write []")
        for where, wanted in self._wanted():
            if wanted.group not in self.groups:
                raise ValueError(f"{where}: there is no group '{wanted.group}'; list its people under groups")
            if wanted.approvals > len({name.casefold() for name in self.groups[wanted.group]}):
                raise ValueError(f"{where}: the group '{wanted.group}' has fewer people than it wants approvals of")
        for group, members in self.groups.items():
            if strangers := [name for name in members if not self.is_person(name)]:
                raise ValueError(f"groups.{group}: {strangers[0]} is not among the people; only people approve")
        return self

    def _wanted(self) -> Iterator[tuple[str, From]]:
        for kind, law in self.kinds.items():
            yield from ((f"kinds.{kind}.approvals_from", wanted) for wanted in law.approvals_from)
        for zone, ground in self.zones.items():
            yield from ((f"zones.{zone}.approvals_from", wanted) for wanted in ground.approvals_from)

    def is_person(self, login: str) -> bool:
        return login.casefold() != GHOST and login.casefold() in {name.casefold() for name in self.people}
