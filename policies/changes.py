"""`changes.yaml`: what may be changed, by whom, where, and who has to agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from policies.facts import Frozen, Kind
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


class From(Frozen):
    """So many approvals by people of one group."""

    group: Name
    approvals: Annotated[int, Field(ge=1, strict=True)] = 1


class KindLaw(Frozen):
    """Who may propose a kind of change, where, and how many people must have approved it."""

    #: Agents never reach beyond `teams` and `catalog`, whatever anybody writes here: that is not a matter of policy.
    agents_in: tuple[Literal["teams", "catalog"], ...]
    people_in: tuple[Zone, ...]
    approvals: Count
    #: Among the approvals, so many from each of these groups.
    approvals_from: tuple[From, ...] = ()
    #: If given, every path must match one of these patterns, whole.
    only_paths: tuple[Pattern, ...] | None = Field(default=None, min_length=1)


class GroundLaw(Frozen):
    """Who has to agree to a change that touches this part of the repository, whatever its kind and lane."""

    approvals: Count = 0
    approvals_from: tuple[From, ...] = ()


class AutoMerge(Frozen):
    """A lane for changes of low risk: where all conditions hold, the kind's approvals are not asked for.

    It never carries the constitution, and never a budget that rises: that is not a matter of policy.
    """

    kinds: tuple[Literal[Kind.CHANGE_TEAM, Kind.ROLLBACK_TEAM], ...] = Field(min_length=1)
    files_at_most: Count | None = None
    only_paths: tuple[Pattern, ...] | None = Field(default=None, min_length=1)
    #: If given, who had it opened must match one of these patterns (`devops/.*`).
    requesters: tuple[Pattern, ...] | None = Field(default=None, min_length=1)
    forecast_usd_month_at_most: Usd | None = None
    #: The same tools for the same members, or fewer.
    no_new_tools: bool = True
    #: As many members as before, on the same framework.
    same_shape: bool = True


class Changes(Frozen):
    """`changes.yaml`"""

    people: tuple[Login, ...] = Field(min_length=1)
    agents: tuple[Login, ...]
    #: Names for some of the people, for `approvals_from`.
    groups: dict[Name, Annotated[tuple[Login, ...], Field(min_length=1)]] = Field(default_factory=dict)
    target: str = "main"
    agents_branches: str = Field(default="auto/", min_length=1)
    kinds: dict[Kind, KindLaw]
    zones: dict[Ground, GroundLaw] = Field(default_factory=dict)
    auto_merge: dict[Name, AutoMerge] = Field(default_factory=dict)
    #: Team name -> the only zone it may live in.
    reserved_names: dict[str, Literal["teams", "meta_teams"]] = Field(default_factory=dict)

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
