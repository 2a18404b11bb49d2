"""The nine messages with which managers run a project: assign, report, warn, ask, hand on.

Success criteria, deadline for the answer, context, priority and correlation id stand in the envelope. A message says what is
wanted or what is so; what its reader may do is the same before and after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import AwareDatetime, Field

from teams.message_fields import Short, Strict, Text

ProjectKind = Literal[
    "project_assignment",
    "task_assignment",
    "progress",
    "dependency_complete",
    "blocker",
    "help_request",
    "resource_request",
    "deadline_warning",
    "hand_off",
]


class ProjectMessage(Strict):
    """What all nine have: what it is about (a project or task by name), and what is said of it."""

    about: Short
    text: Text

    def in_words(self) -> str:
        """The message as a manager reads it: its text, then each detail on a line."""
        lines = [f"{_TITLES[type(self)]}: {self.about}", self.text]
        for name in type(self).model_fields:
            value: object = getattr(self, name)
            if name not in ("about", "text") and value not in ((), None, ""):
                lines.append(f"{name.replace('_', ' ').capitalize()}: {_said(value)}")
        return "\n".join(lines)


class ProjectAssignment(ProjectMessage):
    """A whole project for a team. `text` is its goal."""

    deliverables: tuple[Short, ...] = Field(min_length=1, max_length=20)
    due: AwareDatetime | None = None


class WorkAssignment(ProjectMessage):
    """One task of a project."""

    depends_on: tuple[Short, ...] = Field(default=(), max_length=20)
    due: AwareDatetime | None = None


class Progress(ProjectMessage):
    """How far it is. `text` says what is done and what comes next."""

    percent: int = Field(ge=0, le=100)


class DependencyComplete(ProjectMessage):
    """Something others wait for is done. `results` say where it is."""

    results: tuple[Short, ...] = Field(default=(), max_length=20)


class Blocker(ProjectMessage):
    """Work stands still. `needed` is what would set it going."""

    needed: Text


class HelpRequest(ProjectMessage):
    """A question to a team that knows more."""

    skills: tuple[Short, ...] = Field(default=(), max_length=12)


class ResourceRequest(ProjectMessage):
    """Something is lacking: people, money, access. Asking grants nothing; `text` says why it is needed."""

    resource: Short
    amount: Short


class DeadlineWarning(ProjectMessage):
    """It will be late, or may be."""

    due: AwareDatetime
    expected: AwareDatetime | None = None


class HandOff(ProjectMessage):
    """Work goes on elsewhere. `text` is the state it is in."""

    open_points: tuple[Short, ...] = Field(default=(), max_length=20)
    results: tuple[Short, ...] = Field(default=(), max_length=20)


AnyProjectMessage = (
    ProjectAssignment
    | WorkAssignment
    | Progress
    | DependencyComplete
    | Blocker
    | HelpRequest
    | ResourceRequest
    | DeadlineWarning
    | HandOff
)

PROJECT_PAYLOADS: Mapping[ProjectKind, type[AnyProjectMessage]] = {
    "project_assignment": ProjectAssignment,
    "task_assignment": WorkAssignment,
    "progress": Progress,
    "dependency_complete": DependencyComplete,
    "blocker": Blocker,
    "help_request": HelpRequest,
    "resource_request": ResourceRequest,
    "deadline_warning": DeadlineWarning,
    "hand_off": HandOff,
}

_TITLES: Mapping[type[ProjectMessage], str] = {
    payload: kind.replace("_", " ").capitalize() for kind, payload in PROJECT_PAYLOADS.items()
}


def _said(value: object) -> str:
    return "; ".join(str(one) for one in value) if isinstance(value, tuple) else str(value)
