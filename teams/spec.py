"""What a team is: the one piece of data that an agent may propose and that a factory turns into files.

A `TeamSpec` that breaks a rule cannot be constructed. It knows nobody: no I/O, no import of ours.
"""

from __future__ import annotations

import keyword
import re
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

NAME_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
PLACEMENT_PATTERN = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){0,3}$"
TOOL_PATTERN = r"^[a-z][a-z0-9_]*__[a-z][a-z0-9_]*$"
MODEL_PATTERN = r"^[a-zA-Z0-9][a-zA-Z0-9._:/-]*$"

MIN_MEMBERS, BEST_MEMBERS, MAX_MEMBERS = 3, 5, 7
SKEPTIC_FROM = 5

#: Names that would collide with what already lives beside the teams, or mean something to a cluster or to Python.
RESERVED_NAMES = frozenset(
    {
        "teams",
        "spec",
        "runtime",
        "resilience",
        "catalog",
        "gateway",
        "default",
        "system",
        "main",
        "test",
        "tests",
        "team",
        "elf",
    }
)

#: Who leads a department (F20). What is not listed reports to the CEO.
DEPARTMENT_HEADS: dict[str, str] = {
    "engineering": "cto",
    "qa": "cto",
    "devops": "cto",
    "marketing": "cmo",
    "content": "cmo",
    "brand": "cmo",
    "operations": "coo",
    "hr": "coo",
    "facilities": "coo",
    "finance": "cfo",
    "accounting": "cfo",
    "budget": "cfo",
}

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=40)]
#: Text a model wrote: printable, without control or direction-changing characters.
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Paragraph = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)


def printable(text: str) -> str:
    """The text itself; `ValueError` if it hides control or direction-changing characters."""
    if found := _UNSAFE.search(text):
        raise ValueError(f"contains the invisible character U+{ord(found.group()):04X}; remove it")
    return text


class Strict(BaseModel):
    """Frozen, and refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="after")
    @classmethod
    def _texts_are_printable(cls, value: object) -> object:
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str):
                printable(text)
        return value


class Member(Strict):
    """One agent of a team."""

    name: Name
    role: Line
    goal: Paragraph
    backstory: Paragraph
    manager: bool = False
    skeptic: bool = False
    skills: tuple[Name, ...] = ()
    tools: tuple[Annotated[str, StringConstraints(pattern=TOOL_PATTERN, max_length=64)], ...] = ()
    #: None: the team's model.
    model: Annotated[str, StringConstraints(pattern=MODEL_PATTERN, max_length=100)] | None = None

    @field_validator("name")
    @classmethod
    def _is_a_module_name(cls, name: str) -> str:
        return _usable(name)


class Work(Strict):
    """A piece of work the team does for every request, in the order listed."""

    name: Name
    member: Name
    description: Paragraph
    expected_output: Paragraph


class TeamSpec(Strict):
    """A team, complete. Money in US dollars as decimals, never floats."""

    schema_version: Literal[1] = 1
    name: Name
    purpose: Line
    description: Paragraph
    #: Dot notation: department first (`marketing.socialmedia`).
    placement: Annotated[str, StringConstraints(pattern=PLACEMENT_PATTERN, max_length=80)]
    framework: Literal["crewai", "langgraph"]
    #: How members work together. `delivery` is the DevOps team's own graph.
    process: Literal["sequential", "hierarchical", "delivery"] = "sequential"
    model: Annotated[str, StringConstraints(pattern=MODEL_PATTERN, max_length=100)] = "default"
    #: The most the team may spend in a day; 0 means nothing may be spent.
    daily_budget_usd: Decimal = Field(default=Decimal("10"), ge=0, le=10_000, decimal_places=2)
    members: tuple[Member, ...] = Field(min_length=MIN_MEMBERS, max_length=MAX_MEMBERS)
    work: tuple[Work, ...] = Field(min_length=1, max_length=12)

    @field_validator("name")
    @classmethod
    def _name_is_free_to_use(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"'{name}' is reserved; choose another name, such as '{name}-team'")
        return _usable(name)

    @model_validator(mode="after")
    def _is_a_working_team(self) -> Self:
        names = [member.name for member in self.members]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"member names must differ; given twice: {', '.join(twice)}")
        if (managers := sum(member.manager for member in self.members)) != 1:
            raise ValueError(f"a team has exactly one manager; this one has {managers}")
        if (skeptics := sum(member.skeptic for member in self.members)) > 1:
            raise ValueError(f"a team has at most one skeptic; this one has {skeptics}")
        if len(self.members) >= SKEPTIC_FROM and not skeptics:
            raise ValueError(f"from {SKEPTIC_FROM} members on, one is the skeptic (skeptic: true)")
        if any(member.manager and member.skeptic for member in self.members):
            raise ValueError("the manager cannot be the skeptic: nobody would be left to challenge the manager")
        if strangers := sorted({piece.member for piece in self.work} - set(names)):
            raise ValueError(f"work is given to members the team does not have: {', '.join(strangers)}")
        works = [piece.name for piece in self.work]
        if twice := sorted({name for name in works if works.count(name) > 1}):
            raise ValueError(f"pieces of work must have different names; given twice: {', '.join(twice)}")
        if self.process == "delivery" and self.framework != "langgraph":
            raise ValueError("the delivery process is a LangGraph graph: set framework to langgraph")
        return self

    @property
    def folder(self) -> str:
        """The team's Python package name."""
        return self.name.replace("-", "_")

    @property
    def manager(self) -> Member:
        return next(member for member in self.members if member.manager)

    @property
    def skeptic(self) -> Member | None:
        return next((member for member in self.members if member.skeptic), None)

    @property
    def department(self) -> str:
        return self.placement.split(".")[0]

    @property
    def reports_to(self) -> str:
        """The executive who leads the department: `ceo`, `cto`, `cmo`, `coo` or `cfo`."""
        return DEPARTMENT_HEADS.get(self.department, "ceo")

    @property
    def skills(self) -> tuple[str, ...]:
        """Every member's skills, sorted, once each."""
        return tuple(sorted({skill for member in self.members for skill in member.skills}))

    def model_of(self, member: Member) -> str:
        return member.model or self.model


def _usable(name: str) -> str:
    word = name.replace("-", "_")
    if keyword.iskeyword(word) or keyword.issoftkeyword(word):
        raise ValueError(f"'{name}' is a Python keyword; choose another name, such as '{name}-team'")
    return name
