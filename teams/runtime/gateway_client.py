"""The one door as a team sees it: models, tools and other teams, all at one address, each call with the member's own token."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import mcp.types
from a2a.client.client import ClientCallContext, ClientConfig
from a2a.client.client_factory import ClientFactory
from a2a.client.errors import A2AClientError
from a2a.helpers.proto_helpers import get_data_parts, get_text_parts, new_data_part, new_text_part
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    Message,
    Role,
    SendMessageRequest,
    Task,
    TaskState,
)
from a2a.utils.constants import VERSION_HEADER
from a2a.utils.errors import A2AError

from teams.messages import Envelope, Reply, ReplyState
from teams.runtime.tokens import PutInToken, Tokens, stand_in
from teams.runtime.tool_sessions import ToolSessions

MODEL_TIMEOUT = 300.0
TEAM_TIMEOUT = 600.0

_STATES: dict[int, ReplyState] = {
    TaskState.TASK_STATE_COMPLETED: "completed",
    TaskState.TASK_STATE_INPUT_REQUIRED: "input_required",
    TaskState.TASK_STATE_REJECTED: "rejected",
}


class GatewayError(Exception):
    """The gateway refused a call or could not be reached. Its text says which, and may be shown to a model."""


class GatewayUnreachable(GatewayError):
    """Nobody answered: worth trying again."""


@dataclass(frozen=True)
class ModelSettings:
    """What a chat model client needs to speak through the gateway, over the `Gateway`'s own connections.

    `api_key` only names the member; `Gateway.http` and `Gateway.sync_http` put its token in.
    """

    model: str
    base_url: str
    api_key: str
    headers: dict[str, str]


@dataclass(frozen=True)
class ToolAnswer:
    """What a tool said: its text, the structured content if it gave one, and whether it calls that an error."""

    text: str
    data: dict[str, Any] | None
    is_error: bool


class Gateway:
    """Everything a team can reach. Made on the event loop that uses it; `http` and `sync_http` are shared by all members."""

    def __init__(self, url: str, tokens: Tokens | Mapping[str, str]) -> None:
        self.url = url.rstrip("/")
        self._tokens = tokens if isinstance(tokens, Tokens) else Tokens(tokens)
        # One TLS context for all: building one costs 18 ms. The gateway is the only host, so no proxy is looked up.
        tls = ssl.create_default_context()
        timeout = httpx.Timeout(MODEL_TIMEOUT, connect=5.0)
        auth = PutInToken(self._tokens, self.url)
        self.http = httpx.AsyncClient(verify=tls, timeout=timeout, trust_env=False, auth=auth)
        self.sync_http = httpx.Client(verify=tls, timeout=timeout, trust_env=False, auth=auth)
        self._sessions = ToolSessions(f"{self.url}/mcp", tls, auth)

    @property
    def members(self) -> frozenset[str]:
        return self._tokens.members

    def key(self, member: str) -> str:
        """What stands for the member's token until a request is sent. `GatewayError` if there is no such member."""
        if member not in self._tokens.members:
            raise GatewayError(f"this process was given no token for the member '{member}'")
        return stand_in(member)

    def model_settings(self, member: str, model: str, *, purpose: str, run_id: str) -> ModelSettings:
        """For any OpenAI-compatible client. `purpose` is a slug the call is booked under, `run_id` the task it belongs to."""
        return ModelSettings(
            model=model,
            base_url=f"{self.url}/v1",
            api_key=self.key(member),
            headers={"X-Elf-Purpose": purpose, "X-Elf-Run": run_id},
        )

    async def check_model(self, member: str, model: str) -> None:
        """`GatewayError` says why the member cannot use that model."""
        await self._request("GET", f"/v1/models/{quote(model, safe='')}", member)

    async def complete(
        self,
        member: str,
        messages: Sequence[Mapping[str, Any]],
        *,
        model: str,
        purpose: str,
        run_id: str,
        response_format: Mapping[str, Any] | None = None,
    ) -> str:
        """The text of one chat completion; with `response_format` (OpenAI's `json_schema`) that text is JSON."""
        settings = self.model_settings(member, model, purpose=purpose, run_id=run_id)
        body: dict[str, Any] = {"model": model, "messages": list(messages)}
        if response_format is not None:
            body["response_format"] = response_format
        answer = await self._request("POST", "/v1/chat/completions", member, body=body, headers=settings.headers)
        content = answer["choices"][0]["message"].get("content")
        if not isinstance(content, str):
            raise GatewayError("the model answered without text")
        return content

    async def list_tools(self, member: str) -> list[mcp.types.Tool]:
        """The tools the member may call, named `<server>__<tool>`."""
        try:
            return await self._sessions.list_tools(member, self.key(member))
        except httpx.HTTPStatusError as error:
            raise GatewayError(f"the gateway refused the list of tools: {_reason(error.response)}") from error
        except (httpx.HTTPError, OSError) as error:
            raise GatewayUnreachable(f"the gateway did not answer: {error}") from error

    async def call_tool(
        self, member: str, tool: str, arguments: Mapping[str, Any], run_id: str | None = None
    ) -> ToolAnswer:
        """Calls a tool as the member. A tool's own error is an answer; a refusal or an outage is a `GatewayError`."""
        try:
            result = await self._sessions.call_tool(member, self.key(member), tool, dict(arguments), run_id)
        except httpx.HTTPStatusError as error:
            raise GatewayError(f"the gateway refused {tool}: {_reason(error.response)}") from error
        except (httpx.HTTPError, OSError) as error:
            raise GatewayUnreachable(f"the gateway did not answer {tool}: {error}") from error
        except mcp.McpError as error:
            raise GatewayError(f"{tool}: {error}") from error
        text = "\n".join(part.text for part in result.content if isinstance(part, mcp.types.TextContent))
        return ToolAnswer(text=text, data=result.structuredContent, is_error=bool(result.isError))

    async def send(self, member: str, team: str, text: str, envelope: Envelope) -> Reply:
        """Sends a message to another team's manager over A2A and waits for its answer."""
        url = f"{self.url}/a2a/{team}"
        card = AgentCard(
            name=team,
            supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
            capabilities=AgentCapabilities(streaming=False),
        )
        client = ClientFactory(ClientConfig(streaming=False, httpx_client=self.http)).create(card)
        parts = [new_text_part(text), new_data_part(envelope.to_data())]
        message = Message(role=Role.ROLE_USER, message_id=str(uuid4()), parts=parts)
        context = ClientCallContext(
            timeout=TEAM_TIMEOUT,
            service_parameters={
                "Authorization": f"Bearer {self.key(member)}",
                VERSION_HEADER: "1.0",
                "X-Elf-Run": envelope.correlation_id,
            },
        )
        try:
            async for event in client.send_message(SendMessageRequest(message=message), context=context):
                if event.HasField("task"):
                    return _reply(event.task)
                if event.HasField("message"):
                    return Reply(state="completed", text="\n".join(get_text_parts(event.message.parts)))
        except (A2AError, A2AClientError, httpx.HTTPError) as error:
            raise GatewayError(f"the message to '{team}' was not delivered: {error}") from error
        raise GatewayError(f"'{team}' closed the connection without an answer")

    async def _request(
        self,
        method: str,
        path: str,
        member: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        sent = {"Authorization": f"Bearer {self.key(member)}", **(headers or {})}
        try:
            response = await self.http.request(method, self.url + path, json=body, headers=sent)
        except httpx.HTTPError as error:
            raise GatewayUnreachable(f"the gateway did not answer: {error or type(error).__name__}") from error
        if response.status_code >= 500:
            raise GatewayUnreachable(f"the gateway answered {response.status_code}: {_reason(response)}")
        if response.is_error:
            raise GatewayError(f"the gateway refused {path} ({response.status_code}): {_reason(response)}")
        return response.json()

    async def aclose(self) -> None:
        await self._sessions.aclose()
        await self.http.aclose()
        self.sync_http.close()


def _reply(task: Task) -> Reply:
    parts = [part for artifact in task.artifacts for part in artifact.parts]
    texts = get_text_parts(parts) or get_text_parts(task.status.message.parts)
    data = next((part for part in get_data_parts(parts) if isinstance(part, dict)), {})
    return Reply(state=_STATES.get(task.status.state, "failed"), text="\n".join(texts), data=_whole(data))


def _whole(value: Any) -> Any:
    """A2A's data knows only floats: 3.0 is 3 again, or a model would speak of change 3.0."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _reason(response: httpx.Response) -> str:
    """The words of an error answer, OpenAI's, FastAPI's or plain."""
    try:
        body = json.loads(response.text)
    except (ValueError, httpx.ResponseNotRead):
        return f"status {response.status_code}"
    error = body.get("error", body.get("detail", body)) if isinstance(body, dict) else body
    return str(error.get("message", error) if isinstance(error, dict) else error)[:500]
