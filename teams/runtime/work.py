"""What a team works on, and the one method every kind of team has."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from teams.chart import Report
from teams.messages import (
    ChangeEvent,
    Directive,
    Effect,
    Envelope,
    Incident,
    PersonMessage,
    ReplyState,
    TaskAssignment,
    Utterance,
)
from teams.project_messages import ProjectMessage
from teams.runtime.catalogue import ToolCatalogue
from teams.runtime.conversation import Conversation
from teams.runtime.gateway_client import Gateway
from teams.spec import TeamSpec


@dataclass(frozen=True)
class Run:
    """One request to a team, from its arrival to its answer.

    `id` is the A2A task's; `requester` is who sent it, as the gateway says (`person:owner`, `team/member`, `kernel:reconciler`).
    """

    id: str
    envelope: Envelope
    requester: str
    #: The teams that report to this one, as main has it when the work begins.
    reports: tuple[Report, ...] = ()

    @property
    def correlation_id(self) -> str:
        return self.envelope.correlation_id

    @property
    def deadline(self) -> datetime | None:
        return self.envelope.deadline

    @property
    def history(self) -> tuple[Utterance, ...]:
        """The turns before this one, oldest first."""
        payload = self.envelope.payload
        return payload.history if isinstance(payload, PersonMessage) else ()

    @property
    def text(self) -> str:
        """The request as the team's members read it."""
        payload = self.envelope.payload
        if isinstance(payload, PersonMessage | TaskAssignment):
            return payload.text
        if isinstance(payload, ProjectMessage):
            return payload.in_words()
        if isinstance(payload, Directive):
            return _directive(payload)
        if isinstance(payload, ChangeEvent):
            return f"Something happened to change {payload.change}. Read its state again and act on it."
        if isinstance(payload, Incident):
            return f"The team {payload.team} (tree {payload.tree}) is ill: {payload.reason}"
        skills = ", ".join(payload.required_skills) or "not named"
        return (
            f"{payload.requesting_team} asks for a capability the company lacks: {payload.capability_gap}\n"
            f"Skills: {skills}. Urgency: {payload.urgency}. Why: {payload.business_justification}"
        )


@dataclass(frozen=True)
class RunResult:
    """What came of a run. `data` and `effects` are written by code; `text` may be a model's words."""

    text: str
    state: ReplyState = "completed"
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    effects: tuple[Effect, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """The data part of the reply: the worker's own, else what crossed to other teams."""
        return dict(self.data) or {"effects": [effect.model_dump(mode="json") for effect in self.effects]}


class TeamWorker(Protocol):
    """A team that is ready to work. Several runs may be handled at once."""

    async def handle(self, run: Run) -> RunResult: ...


@dataclass(frozen=True)
class Resources:
    """What a team gets from its process: itself as data, the one door, its log, and a folder of its own."""

    spec: TeamSpec
    gateway: Gateway
    catalogue: ToolCatalogue
    conversation: Conversation
    work_dir: Path

    @property
    def checkpoint_path(self) -> Path:
        return self.work_dir / "checkpoints.sqlite"


class TooBusy(Exception):
    """The queue is full. Its text may be shown."""


class Queue:
    """Lets `parallel` runs work at once and `waiting` more wait; refuses the rest, so that a flood costs nobody's memory."""

    def __init__(self, *, parallel: int = 4, waiting: int = 32) -> None:
        self._slots = asyncio.Semaphore(parallel)
        self._parallel = parallel
        self._limit = parallel + waiting
        self._inside = 0

    async def handle(self, worker: TeamWorker, run: Run) -> RunResult:
        if self._inside >= self._limit:
            raise TooBusy(
                f"The team is busy: {self._limit} requests are being worked on or waiting. Try again in a minute."
            )
        self._inside += 1
        try:
            async with self._slots:
                return await worker.handle(run)
        finally:
            self._inside -= 1


def _directive(directive: Directive) -> str:
    lists = {
        "Constraints": directive.constraints,
        "Success metrics": directive.success_metrics,
        "Use your own ideas for": directive.freedom.encouraged,
        "Avoid": directive.freedom.avoid,
        "Check in at": directive.check_ins,
    }
    lines = [
        f"Decision: {directive.decision}",
        f"Rationale: {directive.rationale}",
        f"Outcome wanted: {directive.delegation}",
        *(f"{name}: {'; '.join(items)}" for name, items in lists.items() if items),
        "If this cannot work as decided, say so and why, and propose what would.",
    ]
    return "\n".join(lines)
