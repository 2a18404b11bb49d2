"""A gateway to run teams against: the OpenAI wire, MCP and A2A on loopback, with a scripted mind and a memory of every request."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from socket import socket
from typing import Any

import uvicorn
from a2a.helpers.proto_helpers import get_data_parts, new_data_part, new_task_from_user_message, new_text_part
from a2a.server.agent_execution.agent_executor import AgentExecutor
from a2a.server.agent_execution.context import RequestContext
from a2a.server.events.event_queue import EventQueue
from a2a.server.request_handlers import DefaultRequestHandlerV2
from a2a.server.routes import create_jsonrpc_routes
from a2a.server.tasks.inmemory_task_store import InMemoryTaskStore
from a2a.server.tasks.task_updater import TaskUpdater
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from mcp.server.fastmcp import FastMCP

Mind = Callable[["Call"], "str | dict[str, Any]"]


@dataclass(frozen=True)
class Call:
    """One model call: who made it for what, and what the model saw."""

    token: str
    purpose: str
    run: str
    body: dict[str, Any]

    @property
    def system(self) -> str:
        return self.body["messages"][0]["content"]

    @property
    def task(self) -> str:
        return self.body["messages"][1]["content"]

    @property
    def tools(self) -> list[str]:
        return [tool["function"]["name"] for tool in self.body.get("tools", [])]

    @property
    def results(self) -> list[str]:
        return [message["content"] for message in self.body["messages"] if message["role"] == "tool"]


def calls_tool(name: str, **arguments: Any) -> dict[str, Any]:
    """The mind's wish to use a tool."""
    return {"name": name, "arguments": json.dumps(arguments)}


@dataclass
class StandIn:
    """What a test sets and reads."""

    url: str = ""
    mind: Mind = lambda call: f"words for {call.purpose}"
    models: tuple[str, ...] = ("default", "openai/gpt-5-mini", "anthropic/claude-haiku-4-5")
    down: bool = False
    calls: list[Call] = field(default_factory=list[Call])
    mcp: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    messages: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list[tuple[str, str, dict[str, Any]]])
    answer: dict[str, Any] = field(default_factory=lambda: {"outcome": "proposed", "change": 3})

    def forget(self) -> None:
        fresh = StandIn(url=self.url)
        for name in ("mind", "models", "down", "answer"):
            setattr(self, name, getattr(fresh, name))
        for seen in (self.calls, self.mcp, self.messages):
            seen.clear()


def create_app(standin: StandIn) -> FastAPI:
    tools = FastMCP("tools", stateless_http=True, json_response=True)

    @tools.tool(name="registry__query_teams")
    def query_teams(skill: str | None = None) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        if skill == "broken":
            raise ValueError("the registry is on fire")
        return {"teams": [{"name": "content-team", "skills": [skill]}] if skill else []}

    app = FastAPI(lifespan=lambda _app: tools.session_manager.run())

    @app.middleware("http")
    async def door(request: Request, following: Any) -> Any:  # pyright: ignore[reportUnusedFunction]
        if standin.down:
            return JSONResponse({"error": {"message": "starting"}}, 503)
        if not request.headers.get("authorization", "").startswith("Bearer token-"):
            return JSONResponse({"error": {"message": "who are you?"}}, 401)
        if request.url.path == "/mcp":
            standin.mcp.append(json.loads(await request.body()) | {"run": request.headers.get("x-elf-run")})
        return await following(request)

    @app.get("/v1/models/{name:path}")
    def model(name: str) -> Any:  # pyright: ignore[reportUnusedFunction]
        if name not in standin.models:
            return JSONResponse({"error": {"message": f"There is no model '{name}'."}}, 404)
        return {"id": name, "object": "model"}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        headers = request.headers
        call = Call(
            headers["authorization"].removeprefix("Bearer token-"),
            headers["x-elf-purpose"],
            headers["x-elf-run"],
            await request.json(),
        )
        standin.calls.append(call)
        said = standin.mind(call)
        message: dict[str, Any] = {"role": "assistant", "content": said}
        if isinstance(said, dict):
            wanted = {"id": f"call-{len(standin.calls)}", "type": "function", "function": said}
            message = {"role": "assistant", "content": None, "tool_calls": [wanted]}
        reason = "tool_calls" if isinstance(said, dict) else "stop"
        return {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": call.body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }

    for team in ("devops", "content-team"):
        card = AgentCard(
            name=team,
            description="another team",
            version="1",
            supported_interfaces=[AgentInterface(url="http://x", protocol_binding="JSONRPC", protocol_version="1.0")],
            capabilities=AgentCapabilities(streaming=False),
            default_input_modes=["text/plain"],
            default_output_modes=["text/plain"],
        )
        card.skills.add(id="a", name="a", description="a", tags=["a"])
        handler = DefaultRequestHandlerV2(OtherTeam(standin, team), InMemoryTaskStore(), card)
        app.router.routes.extend(create_jsonrpc_routes(handler, f"/a2a/{team}"))
    app.router.routes.extend(tools.streamable_http_app().routes)
    return app


class OtherTeam(AgentExecutor):
    """Whoever is asked over A2A: keeps the message and answers what the test set."""

    def __init__(self, standin: StandIn, team: str) -> None:
        self._standin = standin
        self._team = team

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message
        task = new_task_from_user_message(context.message)
        await event_queue.enqueue_event(task)
        headers = context.call_context.state["headers"]
        data = get_data_parts(context.message.parts)
        self._standin.messages.append((headers["authorization"].removeprefix("Bearer token-"), self._team, data[0]))
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.add_artifact([new_text_part(f"{self._team} answers"), new_data_part(self._standin.answer)])
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError


@contextmanager
def serving(app: Any, sock: socket | None = None) -> Generator[str]:
    """The app on a loopback port, in a thread with an event loop of its own. Yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock] if sock else None)), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
