"""What a generated team's tests stand on: its agents made without a framework, so that they can be compared with the spec."""

from __future__ import annotations

from dataclasses import dataclass

from teams.spec import Member, TeamSpec


@dataclass(frozen=True)
class Described:
    """Everything a member's function says of its agent."""

    name: str
    role: str
    goal: str
    backstory: str
    model: str
    tools: tuple[str, ...]


class Recorder:
    """An `AgentMaker` that only keeps what it is told."""

    def agent(
        self, *, name: str, role: str, goal: str, backstory: str, model: str, tools: tuple[str, ...]
    ) -> Described:
        return Described(name, role, goal, backstory, model, tools)


def as_specified(spec: TeamSpec, member: Member) -> Described:
    """What the member's function must say."""
    return Described(
        name=member.name,
        role=member.role,
        goal=member.goal,
        backstory=member.backstory,
        model=spec.model_of(member),
        tools=member.tools,
    )
