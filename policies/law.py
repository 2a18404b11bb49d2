"""The law, typed: what the policy files may say. What they say, and why, stands in the files themselves.

0 means none; a limit that is absent does not exist. Money is US dollars in the files and micro-dollars here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, StringConstraints, ValidationError, model_validator

from policies.access import Access
from policies.budgets import Budgets
from policies.facts import Frozen, Kind
from policies.models import ModelsLaw
from policies.money import Usd
from policies.strict_yaml import BadYaml, load
from policies.watch import Watch

__all__ = [
    "Access",
    "BadLaw",
    "Budgets",
    "Changes",
    "Costs",
    "Explicit",
    "KindLaw",
    "Law",
    "Limits",
    "ModelsLaw",
    "NewTeams",
    "Usd",
    "Watch",
]

FOLDER = "policies"

#: An App's login on GitHub ends in [bot].
Login = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})(?:\[bot\])?$")]
Count = Annotated[int, Field(ge=0, strict=True)]
Zone = Literal["teams", "meta_teams", "policies", "catalog", "."]
"""A folder at the top of the repository; `catalog` is the folders in mcp_servers/catalog, `.` is everything."""


class BadLaw(ValueError):
    """A policy file that is missing, unreadable, or says what it cannot mean. The gate then denies everything."""


class KindLaw(Frozen):
    """Who may propose a kind of change, where, and how many people must have approved it."""

    #: Agents never reach beyond `teams` and `catalog`, whatever anybody writes here: that is not a matter of policy.
    agents_in: tuple[Literal["teams", "catalog"], ...]
    people_in: tuple[Zone, ...]
    approvals: Count


class Changes(Frozen):
    """`changes.yaml`"""

    people: tuple[Login, ...] = Field(min_length=1)
    agents: tuple[Login, ...]
    target: str = "main"
    agents_branches: str = Field(default="auto/", min_length=1)
    kinds: dict[Kind, KindLaw]
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
        return self

    def is_person(self, login: str) -> bool:
        return login.casefold() in {name.casefold() for name in self.people}


class Explicit(Frozen):
    """Words an approving person writes to allow what is otherwise too much, followed by the reason."""

    words: str = Field(min_length=3)
    reason_of_at_least: Count = 10


class NewTeams(Frozen):
    """How fast the company may grow."""

    at_most: Count | None = None
    in_hours: int = Field(default=24, gt=0)
    cooldown_seconds: Count | None = None
    #: Requesters whose teams are not counted; only the kernel itself can be one.
    exempt: tuple[Annotated[str, StringConstraints(pattern=r"^kernel:[a-z-]+$")], ...] = ()
    lifted_by: Explicit | None = None


class Sizes(Frozen):
    """How large an agent's change may be. Bytes."""

    files: Count | None = None
    file_bytes: Count | None = None
    total_bytes: Count | None = None


class Limits(Frozen):
    """`limits.yaml`"""

    new_teams: NewTeams = NewTeams()
    open_changes_per_requester: Count | None = None
    agents_change: Sizes = Sizes()


class Costs(Frozen):
    """`costs.yaml`"""

    #: Above it, a team's daily budget wants the explicit words.
    daily_budget_usd: Usd | None = None
    #: Above it, a team's forecast for a month wants the explicit words.
    forecast_usd_month: Usd | None = None
    accepted_by: Explicit


class Law(Frozen):
    """All policy files, as they stood at one commit."""

    changes: Changes
    limits: Limits
    costs: Costs
    access: Access
    budgets: Budgets
    #: A company founded before there was this file goes by what it says in a new one.
    models: ModelsLaw = ModelsLaw()
    #: So does what is watched.
    watch: Watch = Watch()


_Part = TypeVar("_Part", bound=Frozen)


def read(files: Mapping[str, bytes]) -> Law:
    """The law from its files (`limits.yaml`, or `policies/limits.yaml`, -> bytes). Raises `BadLaw`.

    A missing file is an error, and so is a `.yaml` nobody reads: law that does not bind would only seem to.
    """
    texts = {name.removeprefix(f"{FOLDER}/"): raw for name, raw in files.items() if name.endswith((".yaml", ".yml"))}
    if strangers := sorted(set(texts) - {f"{part}.yaml" for part in Law.model_fields}):
        raise BadLaw(
            f"policies/{strangers[0][:80]}: no such policy file is known; remove it, or put its lines where they belong"
        )
    return Law(
        changes=_part(texts, "changes", Changes),
        limits=_part(texts, "limits", Limits),
        costs=_part(texts, "costs", Costs),
        access=_part(texts, "access", Access),
        budgets=_part(texts, "budgets", Budgets),
        models=_part(texts, "models", ModelsLaw) if "models.yaml" in texts else ModelsLaw(),
        watch=_part(texts, "watch", Watch) if "watch.yaml" in texts else Watch(),
    )


def _part(texts: Mapping[str, bytes], name: str, model: type[_Part]) -> _Part:
    where = f"policies/{name}.yaml"
    if f"{name}.yaml" not in texts:
        raise BadLaw(f"{where} is missing; restore it from an earlier commit")
    try:
        return model.model_validate(load(texts[f"{name}.yaml"]))
    except BadYaml as error:
        raise BadLaw(f"{where}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the file"
        raise BadLaw(f"{where}: {place}: {first['msg']}") from error
