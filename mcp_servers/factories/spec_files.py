"""`team.yaml`: read strictly, written canonically. `load_spec(dump_spec(spec)) == spec`, and writing it again gives the same bytes."""

from __future__ import annotations

import functools
from typing import Any

import yaml
from pydantic import ValidationError

from policies.strict_yaml import BadYaml, load
from teams.spec import MAX_MEMBERS, MIN_MEMBERS, Strict, TeamSpec


class BadSpec(ValueError):
    """Not a team. `errors` are sentences, each naming a place and what to do about it."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@functools.lru_cache(maxsize=2048)
def load_spec(text: str | bytes) -> TeamSpec:
    """The spec in a `team.yaml`. `BadSpec` says everything that is wrong with it.

    The last ones read are kept: who reports to whom is computed from all teams, for every change.
    """
    try:
        found = load(text)
    except BadYaml as error:
        raise BadSpec([str(error)]) from error
    return parse_spec(found)


def parse_spec(found: object) -> TeamSpec:
    """The spec in plain data (JSON or YAML). `BadSpec` says everything that is wrong with it."""
    if not isinstance(found, dict):
        raise BadSpec(["a team spec is a mapping with name, purpose, description, placement, framework, members, work"])
    try:
        return TeamSpec.model_validate(found)
    except ValidationError as error:
        raise BadSpec(explain(error)) from error


def dump_spec(spec: TeamSpec) -> str:
    """The canonical text: fields in the order of the model, defaults of members and absent values left out."""
    data: dict[str, Any] = spec.model_dump(mode="json", exclude={"members", "work"})
    # Text, so that no reader makes a float of it; always cents, so that 10 and 10.00 are the same bytes.
    data["daily_budget_usd"] = f"{abs(spec.daily_budget_usd):.2f}"
    data["members"] = [_without_defaults(member) for member in spec.members]
    data["work"] = [_without_defaults(piece) for piece in spec.work]
    return yaml.dump(data, Dumper=Canonical, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False)


def explain(error: ValidationError) -> list[str]:
    """What is wrong, a sentence each, without echoing the values (they may be long or hostile)."""
    return [_sentence(fault["loc"], fault["type"], fault["msg"]) for fault in error.errors(include_url=False)]


def _sentence(loc: tuple[int | str, ...], kind: str, message: str) -> str:
    where = ".".join(str(part)[:60] for part in loc)
    if loc == ("members",) and kind == "too_long":
        return (
            f"members: a team has {MIN_MEMBERS} to {MAX_MEMBERS} members; split this one by function into teams of "
            f"{MIN_MEMBERS} to {MAX_MEMBERS}, each with its own manager"
        )
    if loc == ("members",) and kind == "too_short":
        return f"members: a team has {MIN_MEMBERS} to {MAX_MEMBERS} members; add the roles that are missing"
    if kind == "extra_forbidden":
        return f"{where}: there is no such field; remove it"
    if kind == "missing":
        return f"{where}: is missing; add it"
    text = message.removeprefix("Value error, ")
    return f"{where}: {text}" if where else text


def _without_defaults(part: Strict) -> dict[str, Any]:
    return part.model_dump(mode="json", exclude_defaults=True)


class Canonical(yaml.SafeDumper):
    """No anchors for equal values, and texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (PyYAML's signature)
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Canonical.add_representer(str, Canonical.represent_text)
