"""What the steps work with: the members' tools and models behind the gateway, and the team's conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from meta_teams.delivery.model_replies import faults_of, response_format
from teams.runtime.gateway_client import GatewayError, GatewayUnreachable, ToolAnswer
from teams.runtime.work import Run
from teams.spec import Member, TeamSpec

M = TypeVar("M", bound=BaseModel)


class Door(Protocol):
    """The gateway, as far as this team uses it."""

    async def complete(
        self,
        member: str,
        messages: Sequence[Mapping[str, Any]],
        *,
        model: str,
        purpose: str,
        run_id: str,
        response_format: Mapping[str, Any] | None = None,
    ) -> str: ...

    async def call_tool(self, member: str, tool: str, arguments: Mapping[str, Any]) -> ToolAnswer: ...


class Voice(Protocol):
    """Where the team's conversation is written."""

    def say(self, *, task: str, speaker: str, listener: str, text: str) -> None: ...


class ToolRefused(GatewayError):
    """A tool said no. `reasons` say why and what to do."""

    def __init__(self, tool: str, reasons: Sequence[str]) -> None:
        super().__init__(f"{tool}: {'; '.join(reasons)}")
        self.reasons = tuple(reasons)


@dataclass(frozen=True)
class Desk:
    """One run's access to the world. Each tool and each model call is made by the member whose task it is."""

    spec: TeamSpec
    door: Door
    voice: Voice
    run: Run
    #: What makes doing something twice doing it once: the same whenever this very wish or incident is carried on.
    key: str = ""

    @property
    def manager(self) -> str:
        return self.spec.manager.name

    def holder(self, tool: str) -> Member:
        """Whose task it is to use this tool: the first member that lists it, else the manager."""
        return next((member for member in self.spec.members if tool in member.tools), self.spec.manager)

    def say(self, speaker: str, text: str, listener: str = "") -> None:
        heard = listener or ("team" if speaker == self.manager else self.manager)
        self.voice.say(task=self.run.id, speaker=speaker, listener=heard, text=text)

    async def use(self, tool: str, arguments: Mapping[str, Any], answer: type[M]) -> M:
        """What the tool answers. `ToolRefused` if it says no; `GatewayUnreachable` if trying again later may help."""
        given = await self.door.call_tool(self.holder(tool).name, tool, arguments)
        if given.is_error:
            data = given.data or {}
            if data.get("next_step") == "try_again_later":
                raise GatewayUnreachable(f"{tool}: {given.text}")
            raise ToolRefused(tool, [str(reason) for reason in data.get("reasons") or [given.text]])
        try:
            return answer.model_validate_json(given.text) if given.data is None else answer.model_validate(given.data)
        except ValidationError as error:
            raise GatewayError(f"{tool} answered in a shape nobody knows: {'; '.join(faults_of(error))}") from error

    async def ask_model(
        self,
        member: Member,
        messages: Sequence[Mapping[str, Any]],
        purpose: str,
        schema: type[BaseModel] | tuple[str, Mapping[str, Any]],
    ) -> str:
        """The reply, unread. `schema` is a model, or a name with a JSON Schema."""
        name, wanted = schema if isinstance(schema, tuple) else (schema.__name__, schema.model_json_schema())
        return await self.door.complete(
            member.name,
            messages,
            model=self.spec.model_of(member),
            purpose=purpose,
            run_id=self.run.correlation_id,
            response_format=response_format(name, wanted),
        )
