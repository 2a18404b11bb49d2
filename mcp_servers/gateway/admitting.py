"""The road back from quarantine: what a tool's definition was and is, and the spec that would admit it as it is. Pure.

Nothing is admitted here. A definition is what models read, and may carry orders to them: a person sees both, and main decides.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from mcp_servers.factories.spec_files import explain
from mcp_servers.gateway.admission import Compared, Quarantined
from mcp_servers.server_spec import ServerSpec, ToolSpec

#: Lines of a tool's difference that people are shown.
MOST_LINES = 400


class NotAdmissible(Exception):
    """Why there is nothing to propose, and what can be done."""


@dataclass(frozen=True)
class Difference:
    """One tool that is not what main admits. `chosen`: its new definition would be admitted; `problem`: why it cannot be."""

    tool: str
    why: str
    diff: Sequence[str]
    chosen: bool
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "tool": self.tool,
            "why": self.why,
            "diff": list(self.diff),
            "chosen": self.chosen,
            "problem": self.problem,
        }


def differences(spec: ServerSpec, compared: Compared, also: Collection[str]) -> list[Difference]:
    """Every tool in quarantine, old beside new. Chosen are those that main admitted otherwise, and new ones in `also` by name."""
    before = {tool.name: tool for tool in spec.tools}
    return [_difference(one, before.get(one.tool), also) for one in compared.quarantined.values()]


def admitted_anew(spec: ServerSpec, compared: Compared, found: Sequence[Difference]) -> ServerSpec:
    """The spec with the chosen definitions as the server gives them now. Raises `NotAdmissible`."""
    chosen = [one for one in found if one.chosen]
    if bad := [f"{one.tool}: {one.problem}" for one in chosen if one.problem]:
        raise NotAdmissible("; ".join(bad))
    if not chosen:
        others = ", ".join(one.tool for one in found)
        rest = f"; main never admitted {others}: name one with --tool to admit it" if others else ""
        raise NotAdmissible(f"every tool that main admits of {spec.name} is as it was admitted{rest}")
    new = {one.tool: _tool(compared.quarantined[one.tool]) for one in chosen}
    tools = [new.pop(tool.name, tool) for tool in spec.tools] + list(new.values())
    try:
        return ServerSpec.model_validate({**spec.model_dump(exclude_unset=True), "tools": tools})
    except ValidationError as error:
        raise NotAdmissible("; ".join(explain(error)[:5])) from error


def _difference(one: Quarantined, before: ToolSpec | None, also: Collection[str]) -> Difference:
    chosen = one.admitted_sha256 is not None or one.tool in also
    old, new = _lines(before), _seen_lines(one)
    diff = list(difflib.unified_diff(old, new, "as admitted", "as it is now", lineterm="", n=3))
    return Difference(one.tool, one.why, diff[:MOST_LINES], chosen, _problem(one))


def _problem(one: Quarantined) -> str | None:
    """What keeps the definition out of a spec."""
    if one.why == "given twice":
        return "the server gives two tools of that name; its owner has to mend that"
    try:
        tool = _tool(one)
    except ValidationError as error:
        return explain(error)[0][:300]
    except (NotAdmissible, RecursionError) as error:
        return str(error) or "its schema is nested too deeply"
    return (
        None
        if tool.sha256 == one.seen_sha256
        else "its definition cannot be written down exactly as the server gives it"
    )


def _tool(one: Quarantined) -> ToolSpec:
    if one.seen is None:
        raise NotAdmissible("its definition was not seen")
    return ToolSpec.model_validate(
        {"name": one.seen.name, "description": one.seen.description, "input_schema": one.seen.inputSchema}
    )


def _lines(tool: ToolSpec | None) -> list[str]:
    return _shown(tool.description, tool.schema_) if tool else []


def _seen_lines(one: Quarantined) -> list[str]:
    return _shown(one.seen.description, one.seen.inputSchema) if one.seen else []


def _shown(description: str | None, schema: dict[str, Any]) -> list[str]:
    """The definition as lines that are compared: all that a model reads. Beyond plain ASCII it is escaped, so that nothing hides."""
    whole = {"description": (description or "").strip(), "input_schema": schema}
    return yaml.safe_dump(whole, sort_keys=False, width=100, allow_unicode=False).splitlines()
