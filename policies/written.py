"""`rules.yaml`: rules that people write themselves, in CEL. They refuse, or ask for approvals; none can say yes.

The library (`cel-expr-python`, the official one) is an extra. A law that has such rules cannot be read where it is missing: law
that does not bind would only seem to. An expression is compiled once, when the law is read; names and types are checked then.
"""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from policies.facts import Kind, LawPart

MAX_EXPRESSION, MAX_RULES = 500, 50
#: The library stops an expression after ten thousand steps of a loop; loops in loops are refused before.
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")
_LIBRARY = "cel_expr_python.cel"
#: What an expression can speak of, and its type.
VARIABLES: dict[str, str] = {
    "kind": "string", "author": "string", "requester": "string", "by_person": "bool", "branch": "string",
    "paths": "list(string)", "files": "int", "size_bytes": "int",
    "team": "string", "zone": "string", "framework": "string", "members": "int", "tools": "list(string)",
    "daily_budget_usd": "double", "daily_budget_before_usd": "double", "forecast_usd_month": "double",
    "server": "string", "hosts": "list(string)", "secrets": "list(string)",
    "approvers": "list(string)", "hour": "int", "weekday": "int",
}  # fmt: skip


class CannotTell(RuntimeError):
    """An expression has no answer; whoever asked says no."""


class Written(LawPart):
    """One rule: where `when` is true, the change is refused, or wants so many approvals."""

    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "required": ["kinds"],
                "properties": {
                    "then": {"const": "deny"},
                    "kinds": {"type": "array", "contains": {"const": Kind.LAW.value}},
                },
            }
        }
    )

    when: Annotated[str, StringConstraints(min_length=1, max_length=MAX_EXPRESSION)]
    """A CEL expression of 500 characters at the most; where it is true, the rule speaks. The file says what it can speak of."""
    then: Literal["deny", "needs_approval"]
    """Refuse, or want approvals. No rule can allow."""
    reason: Annotated[str, StringConstraints(min_length=10, max_length=300)]
    """Why, in 10 to 300 characters: it stands in the verdict."""
    approvals: Annotated[int, Field(ge=1, strict=True)] = 1
    """With `needs_approval`: by how many people."""
    kinds: tuple[Kind, ...] | None = Field(default=None, min_length=1)
    """The kinds it is asked of; without it, all but `law` and `rollback_team`, the ways by which things are undone."""

    @model_validator(mode="after")
    def _can_be_told(self) -> Self:
        compiled(self.when)
        if self.then == "deny" and Kind.LAW in (self.kinds or ()):
            raise ValueError("a rule that refuses changes to the law may never be taken out again; ask for approvals")
        return self


class Rules(LawPart):
    """`rules.yaml`"""

    rules: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")], Written] = Field(
        default_factory=dict, max_length=MAX_RULES
    )
    """Rules by a name of your own."""


#: What undoes things is not in the way of a rule that was not written for it: a rule gone wrong is taken out by a change
#: to the law, and a team that falls ill goes back.
_WAYS_BACK = frozenset({Kind.LAW, Kind.ROLLBACK_TEAM})


def asked_of(rule: Written, kind: Kind) -> bool:
    """Whether the rule has a say in changes of this kind at all."""
    return kind not in _WAYS_BACK if rule.kinds is None else kind in rule.kinds


@lru_cache(maxsize=4 * MAX_RULES)
def compiled(expression: str) -> Any:
    """The program. `ValueError` says why there is none."""
    if len(_LOOP.findall(expression)) > 1:
        raise ValueError("one all/exists/map/filter an expression; write two rules")
    try:
        program = _environment().compile(expression)
    except RuntimeError as error:
        said = str(error).removeprefix("INVALID_ARGUMENT: ").splitlines()[0]
        raise ValueError(f"this is no CEL expression: {said[:200]}; it can speak of {', '.join(VARIABLES)}") from error
    if program.return_type() != _library().Type.BOOL:
        raise ValueError("the expression must be true or false")
    return program


def holds(expression: str, values: dict[str, Any]) -> bool:
    """Whether the expression is true of these values. `CannotTell` if it is neither true nor false."""
    try:
        found = compiled(expression).eval(data=values)
    except RuntimeError as error:
        raise CannotTell(str(error)[:200]) from error
    if found.type() != _library().Type.BOOL:
        raise CannotTell(str(found.value())[:200])
    return found.value() is True


@lru_cache(maxsize=1)
def _environment() -> Any:
    cel = _library()
    types = {"string": cel.Type.STRING, "bool": cel.Type.BOOL, "int": cel.Type.INT, "double": cel.Type.DOUBLE}
    types["list(string)"] = cel.Type.List(cel.Type.STRING)
    return cel.NewEnv(variables={name: types[signature] for name, signature in VARIABLES.items()})


def _library() -> Any:
    try:
        return importlib.import_module(_LIBRARY)
    except ImportError as error:
        raise ValueError(
            "rules in CEL want the library cel-expr-python, which is not installed: install it beside the company "
            "(.venv/bin/pip install cel-expr-python), or take the rules out"
        ) from error
