"""The tools a member has in one run, the same for both frameworks: those of the gateway, and for managers the A2A client (F25)."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import mcp.types
from pydantic import ValidationError

from teams.message_fields import Priority
from teams.messages import (
    NEEDS_CRITERIA,
    Effect,
    Envelope,
    Kind,
    MessageRefused,
    Payload,
    PushBack,
    Reply,
    Report,
    TaskAssignment,
    TeamCreationRequest,
    first_fault,
)
from teams.runtime.conversation import Conversation
from teams.runtime.gateway_client import Gateway, GatewayError
from teams.runtime.tool_arguments import AskTeam, Objection, RequestTeam, SendMessage
from teams.runtime.work import Run, RunResult

log = logging.getLogger(__name__)

#: Who makes teams.
DEVOPS = "devops"
#: What a team may say no to.
_MAY_BE_REFUSED = frozenset[str]({"directive", *NEEDS_CRITERIA})


@dataclass(frozen=True)
class TeamTool:
    """A tool as a model sees it; `call` gives the text that goes back to the model and never raises an `Exception`."""

    name: str
    description: str
    schema: dict[str, Any]
    call: Callable[[Mapping[str, Any]], Awaitable[str]]


class Toolbox:
    """Makes members' tools for one run and keeps what really crossed to other teams."""

    def __init__(self, gateway: Gateway, conversation: Conversation, team: str, run: Run) -> None:
        self._gateway = gateway
        self._conversation = conversation
        self._team = team
        self._run = run
        self._effects: list[Effect] = []
        self._push_back: PushBack | None = None

    def result(self, text: str) -> RunResult:
        """What came of the run: the team's answer, or its no with the reason if the manager pushed back."""
        if self._push_back is None:
            return RunResult(text=text, effects=self.effects)
        proposal = f"\nInstead: {self._push_back.proposal}" if self._push_back.proposal else ""
        report = Report(effects=self.effects, push_back=self._push_back)
        return RunResult(
            text=f"{self._push_back.reason}{proposal}", state="rejected", data=report.model_dump(mode="json")
        )

    @property
    def effects(self) -> tuple[Effect, ...]:
        return tuple(self._effects)

    def mcp_tools(self, member: str, granted: tuple[mcp.types.Tool, ...]) -> list[TeamTool]:
        """The member's tools behind the gateway."""

        def tool(found: mcp.types.Tool) -> TeamTool:
            async def use(arguments: Mapping[str, Any]) -> str:
                answer = await self._gateway.call_tool(member, found.name, arguments, self._run.correlation_id)
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

        async def send_message(arguments: Mapping[str, Any]) -> str:
            message = SendMessage.model_validate(arguments)
            deadline = datetime.fromisoformat(message.answer_by) if message.answer_by else None
            envelope = self._envelope(
                message.kind, message.payload(), deadline=deadline, criteria=tuple(message.success_criteria)
            )
            return await self._cross(member, "sent_message", message.team, message.text, envelope)

        async def push_back(arguments: Mapping[str, Any]) -> str:
            objection = Objection.model_validate(arguments)
            self._push_back = PushBack(reason=objection.reason, proposal=objection.proposal)
            return "The sender will be told so. End your work here, with the reason."

        tools = [
            TeamTool(
                "ask_team",
                "Gives work to another team's manager and returns the team's answer as JSON: state, text, data.",
                AskTeam.model_json_schema(),
                _told("ask_team", ask_team),
            ),
            TeamTool(
                "request_team",
                "Asks the DevOps team for one capability that no living team has, or for one tool that teams can call: a call "
                "for each where several are wanted. Returns its "
                "answer as JSON: state, text, data (outcome, change, team or server and tools, question, reasons, next_step). "
                "It only proposes; a person decides.",
                RequestTeam.model_json_schema(),
                _told("request_team", request_team),
            ),
            TeamTool(
                "send_message",
                "Sends another team's manager one of the nine project messages and returns the answer as JSON: state, text, "
                "data. It informs or asks; it gives nobody any right.",
                SendMessage.model_json_schema(),
                _told("send_message", send_message),
            ),
        ]
        if self._run.envelope.kind in _MAY_BE_REFUSED:
            tools.append(
                TeamTool(
                    "push_back",
                    "Says no to what your team was told to do, with the reason and what would work instead. It is recorded, "
                    "and the sender decides anew.",
                    Objection.model_json_schema(),
                    _told("push_back", push_back),
                )
            )
        return tools

    def _envelope(
        self,
        kind: Kind,
        payload: Payload,
        *,
        priority: Priority | None = None,
        deadline: datetime | None = None,
        criteria: tuple[str, ...] = (),
    ) -> Envelope:
        """A message that carries this run's correlation on, and its deadline: no answer to us may come after our own."""
        deadlines = [one for one in (deadline, self._run.deadline) if one is not None]
        return Envelope(
            kind=kind,
            correlation_id=self._run.correlation_id,
            deadline=min(deadlines, default=None),
            priority=priority or self._run.envelope.priority,
            success_criteria=criteria,
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
        except (GatewayError, MessageRefused, ValueError) as error:
            log.warning("tool %s: %s", name, error)
            return f"Error: {error}"
        except Exception as error:  # a tool's fault must not end the run
            log.exception("tool %s failed", name)
            return f"Error: {name} failed: {type(error).__name__}: {error}"

    return call
