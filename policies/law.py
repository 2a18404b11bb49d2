"""The law, typed: what the policy files may say. What they say, and why, stands in the files themselves.

0 means none; a limit that is absent does not exist. Money is US dollars in the files and micro-dollars here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Self, TypeVar

from pydantic import ValidationError, model_validator

from policies.access import Access
from policies.budgets import Budgets
from policies.changes import AutoMerge, Changes, From, GroundLaw, KindLaw
from policies.facts import Frozen, LawPart
from policies.limits import Explicit, Freeze, KindRate, Limits, Rate, Sizes, Stale
from policies.models import ModelsLaw
from policies.money import Usd
from policies.overrides import Liftable, Overrides
from policies.strict_yaml import BadYaml, load
from policies.watch import Watch
from policies.written import Rules

__all__ = [
    "Access",
    "AutoMerge",
    "BadLaw",
    "Budgets",
    "Changes",
    "ChecksLaw",
    "Costs",
    "Explicit",
    "Freeze",
    "From",
    "GroundLaw",
    "KindLaw",
    "KindRate",
    "Law",
    "Liftable",
    "Limits",
    "ModelsLaw",
    "Overrides",
    "Rate",
    "Sizes",
    "Stale",
    "Usd",
    "Watch",
]

FOLDER = "policies"


class BadLaw(ValueError):
    """A policy file that is missing, unreadable, or says what it cannot mean. The gate then denies everything."""


class Costs(LawPart):
    """`costs.yaml`"""

    daily_budget_usd: Usd | None = None
    """Above it, a team's daily budget wants the explicit words."""
    forecast_usd_month: Usd | None = None
    """Above it, a team's forecast for a month wants the explicit words."""
    refused_above_usd_month: Usd | None = None
    """Above it, nobody's words help: the team has to become cheaper, or this number another one."""
    accepted_by: Explicit
    """The words with which an approving person accepts a cost that is higher."""


class ChecksLaw(LawPart):
    """`checks.yaml`"""

    without_sandbox: Explicit | None = None
    """The words that accept a change whose code could not be run; None: nothing passes unchecked."""


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
    #: Without the file, nothing passes unchecked.
    checks: ChecksLaw = ChecksLaw()
    #: Without the file nobody overrides anything.
    overrides: Overrides = Overrides()
    #: Rules that people wrote themselves; without the file there are none.
    rules: Rules = Rules()

    @model_validator(mode="after")
    def _only_people_override(self) -> Self:
        for login in self.overrides.by:
            if not self.changes.is_person(login):
                raise ValueError(f"overrides.yaml: by: {login} is not among the people of changes.yaml")
        return self


_Part = TypeVar("_Part", bound=Frozen)

_FILES: dict[str, type[Frozen]] = {
    "changes": Changes,
    "limits": Limits,
    "costs": Costs,
    "access": Access,
    "budgets": Budgets,
}
#: What a company founded before there were these files does without.
_LATER_FILES: dict[str, type[Frozen]] = {
    "models": ModelsLaw,
    "watch": Watch,
    "overrides": Overrides,
    "rules": Rules,
    "checks": ChecksLaw,
}
#: Every policy file by its name without `.yaml`, with the type of what it says.
FILES: dict[str, type[Frozen]] = {**_FILES, **_LATER_FILES}


def read(files: Mapping[str, bytes]) -> Law:
    """The law from its files (`limits.yaml`, or `policies/limits.yaml`, -> bytes). Raises `BadLaw`.

    A missing file is an error, and so is a `.yaml` nobody reads: law that does not bind would only seem to.
    """
    texts = {name.removeprefix(f"{FOLDER}/"): raw for name, raw in files.items() if name.endswith((".yaml", ".yml"))}
    if strangers := sorted(set(texts) - {f"{part}.yaml" for part in Law.model_fields}):
        raise BadLaw(
            f"policies/{strangers[0][:80]}: no such policy file is known; remove it, or put its lines where they belong"
        )
    parts: dict[str, Frozen] = {name: _part(texts, name, model) for name, model in _FILES.items()}
    parts |= {name: _part(texts, name, model) for name, model in _LATER_FILES.items() if f"{name}.yaml" in texts}
    try:
        return Law.model_validate(parts)
    except ValidationError as error:
        said = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
        raise BadLaw(f"policies/{said.removeprefix('Value error, ')}") from error


def _part(texts: Mapping[str, bytes], name: str, model: type[_Part]) -> _Part:
    where = f"policies/{name}.yaml"
    if f"{name}.yaml" not in texts:
        raise BadLaw(f"{where} is missing; restore it from an earlier commit")
    try:
        # As JSON, whose types are YAML's here: a list is a tuple and a word a kind, but `true` is no number and "10" none either.
        return model.model_validate_json(json.dumps(load(texts[f"{name}.yaml"])), strict=True)
    except BadYaml as error:
        raise BadLaw(f"{where}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the file"
        raise BadLaw(f"{where}: {place}: {first['msg']}") from error
