"""Who does what in a team. Generated teams are written in these words; no framework and no network is behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

A_co = TypeVar("A_co", covariant=True)
#: An agent of whichever framework the maker stands for: a member's function is the same for all.
Agent = TypeVar("Agent")

Purpose = Literal["manager-work", "member-work", "skeptic-review"]


class AgentMaker(Protocol[A_co]):
    """Makes agents of one framework. Each member's function is given one."""

    def agent(self, *, name: str, role: str, goal: str, backstory: str, model: str, tools: tuple[str, ...]) -> A_co: ...


@dataclass(frozen=True)
class Piece:
    """A piece of work that is done for every request."""

    name: str
    member: str
    description: str
    expected_output: str


@dataclass(frozen=True)
class Plan:
    """Who leads a team, who doubts, and what is done in which order."""

    process: Literal["sequential", "hierarchical"]
    manager: str
    skeptic: str | None
    work: tuple[Piece, ...]

    def purpose(self, member: str) -> Purpose:
        """What a member's model calls are booked under."""
        if member == self.manager:
            return "manager-work"
        return "skeptic-review" if member == self.skeptic else "member-work"
