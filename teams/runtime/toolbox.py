"""The tools a member has in one run, the same for both frameworks: those of the gateway, and for managers the A2A client (F25)."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import mcp.types
from pydantic import BaseModel, Field, ValidationError

from teams.messages import (
    Effect,
    Envelope,
    MessageRefused,
    Priority,
    Reply,
    TaskAssignment,
    TeamCreationRequest,
    first_fault,
)
from teams.runtime.conversation import Conversation
from teams.runtime.gateway_client import Gateway, GatewayError
from teams.runtime.work import Run
from teams.spec import NAME_PATTERN

log = logging.getLogger(__name__)

#: Who makes teams.
DEVOPS = "devops"


@dataclass(frozen=True)
class TeamTool:
    """A tool as a model sees it; `call` gives the text that goes back to the model and never raises an `Exception`."""

    name: str
    description: str
    schema: dict[str, Any]
    call: Callable[[Mapping[str, Any]], Awaitable[str]]


class AskTeam(BaseModel):
    """What `ask_team` takes."""

    #: The pattern also keeps a name from becoming another path at the gateway.
    team: str = Field(pattern=NAME_PATTERN, description="The team's name, exactly as the registry gives it")
    message: str = Field(description="The work wanted, with everything the team must know to do it")


class RequestTeam(BaseModel):
    """What `request_team` takes (F26)."""

    capability_gap: str = Field(description="What the company cannot do today, in one or two sentences")
    required_skills: list[str] = Field(description="The skills it takes, a few words each")
    urgency: Priority = Field(description="low, normal, high or urgent")
    business_justification: str = Field(description="Why the company needs it")


class Toolbox:
    """Makes members' tools for one run and keeps what really crossed to other teams."""

    def __init__(self, gateway: Gateway, conversation: Conversation, team: str, run: Run) -> None:
        self._gateway = gateway
        self._conversation = conversation
        self._team = team
        self._run = run
        self._effects: list[Effect] = []

    @property
    def effects(self) -> tuple[Effect, ...]:
        return tuple(self._effects)

    def mcp_tools(self, member: str, granted: tuple[mcp.types.Tool, ...]) -> list[TeamTool]:
        """The member's tools behind the gateway."""

        def tool(found: mcp.types.Tool) -> TeamTool:
            async def use(arguments: Mapping[str, Any]) -> str:
                answer = await self._gateway.call_tool(member, found.name, arguments, self._run.id)
                text = json.dumps(answer.data, ensure_ascii=False) if answer.data is not None else answer.text
                return f"Error: {text}" if answer.is_error else text

            return TeamTool(found.name, found.description or found.name, found.inputSchema, _told(found.name, use))

        return [tool(found) for found in granted]

    def manager_tools(self, member: str) -> list[TeamTool]:
        """What only a manager has: the way to other teams."""

        async def ask_team(arguments: Mapping[str, Any]) -> str:
            asked = AskTeam.model_validate(arguments)
            envelope = self._envelope("task", TaskAssignment(text=asked.message))
            return await self._cross(member, "asked_team", asked.team, asked.message, envelope)

        async def request_team(arguments: Mapping[str, Any]) -> str:
            wanted = RequestTeam.model_validate(arguments)
            request = TeamCreationRequest(
                capability_gap=wanted.capability_gap,
                required_skills=tuple(wanted.required_skills),
                urgency=wanted.urgency,
                requesting_team=self._team,
                business_justification=wanted.business_justification,
                requester=self._run.requester,
            )
            envelope = self._envelope("team_creation_request", request, priority=wanted.urgency)
            return await self._cross(member, "requested_team", DEVOPS, wanted.capability_gap, envelope)

        return [
            TeamTool(
                "ask_team",
                "Gives work to another team's manager and returns the team's answer as JSON: state, text, data.",
                AskTeam.model_json_schema(),
                _told("ask_team", ask_team),
            ),
            TeamTool(
                "request_team",
                "Asks the DevOps team for a capability that no living team has. Returns its answer as JSON: state, "
                "text, data (outcome, change, team, question, reasons). It only proposes; a person decides.",
                RequestTeam.model_json_schema(),
                _told("request_team", request_team),
            ),
        ]

    def _envelope(self, kind: Any, payload: TaskAssignment | TeamCreationRequest, priority: Any = None) -> Envelope:
        """A message that carries this run's correlation and deadline on."""
        return Envelope(
            kind=kind,
            correlation_id=self._run.correlation_id,
            deadline=self._run.deadline,
            priority=priority or self._run.envelope.priority,
            payload=payload,
        )

    async def _cross(self, member: str, kind: Any, team: str, text: str, envelope: Envelope) -> str:
        def say(speaker: str, listener: str, words: str) -> None:
            self._conversation.say(task=self._run.id, speaker=speaker, listener=listener, text=words)

        say(member, team, text)
        try:
            reply = await self._gateway.send(member, team, text, envelope)
        except GatewayError as error:
            reply = Reply(state="failed", text=str(error))
        say(team, member, reply.text)
        self._effects.append(Effect(kind=kind, team=team, result=reply))
        return reply.model_dump_json()


def _told(
    name: str, use: Callable[[Mapping[str, Any]], Awaitable[str]]
) -> Callable[[Mapping[str, Any]], Awaitable[str]]:
    """Every error goes back to the model as text, and into the log."""

    async def call(arguments: Mapping[str, Any]) -> str:
        try:
            return await use(arguments)
        except ValidationError as error:
            return f"Error: {name}: {first_fault(error)}"
        except (GatewayError, MessageRefused) as error:
            log.warning("tool %s: %s", name, error)
            return f"Error: {error}"
        except Exception as error:  # a tool's fault must not end the run
            log.exception("tool %s failed", name)
            return f"Error: {name} failed: {type(error).__name__}: {error}"

    return call
