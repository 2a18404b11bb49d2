"""The agent that the A2A conformance kit expects to find: the id of a message says what comes back (its scenarios/*.feature).

Served three ways: by the plain SDK, which shows what the SDK itself does not pass; as the work of a team's own server; and that team
behind the gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

import httpx
from a2a.helpers.proto_helpers import new_data_part, new_message, new_task_from_user_message, new_text_part
from a2a.server.agent_execution.agent_executor import AgentExecutor
from a2a.server.agent_execution.context import RequestContext
from a2a.server.events.event_queue import EventQueue
from a2a.server.request_handlers import DefaultRequestHandlerV2
from a2a.server.routes import add_a2a_routes_to_fastapi, create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks.inmemory_task_store import InMemoryTaskStore
from a2a.server.tasks.task_updater import TaskUpdater
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Part, Role
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

from teams.runtime.a2a_face import TeamExecutor
from teams.runtime.work import Run, RunResult

Act = Callable[[TaskUpdater], Awaitable[object]]

#: The id of the message that is worked on.
_MESSAGE: ContextVar[str] = ContextVar("message")

#: What a team says in its own way: a result of its work.
RESULTS: dict[str, RunResult] = {
    "tck-artifact-text": RunResult("Generated text content"),
    "tck-input-required": RunResult("Which colour?", state="input_required"),
    "tck-reject-task": RunResult("rejected", state="rejected"),
    "tck-stream-artifact-text": RunResult("Streamed text content"),
    "tck-stream-001": RunResult("Stream hello from TCK"),
    "tck-stream-003": RunResult("Stream task lifecycle"),
    "tck-stream-ordering-001": RunResult("Ordered output"),
}
DEFAULT = RunResult("Hello from TCK")

_FILE = Part(raw=b"Hello", filename="output.txt", media_type="text/plain")
_LINK = Part(url="https://example.com/output.txt", filename="output.txt", media_type="text/plain")


def _with(*parts: Part) -> Act:
    async def act(updater: TaskUpdater) -> None:
        await updater.start_work()
        await updater.add_artifact(list(parts), name="answer")
        await updater.complete()

    return act


async def _in_chunks(updater: TaskUpdater) -> None:
    await updater.start_work()
    await updater.add_artifact([new_text_part("chunk-1 ")], artifact_id="a", append=False, last_chunk=False)
    await updater.add_artifact([new_text_part("chunk-2")], artifact_id="a", append=True, last_chunk=True)
    await updater.complete()


async def _slowly(updater: TaskUpdater) -> None:
    await updater.start_work()
    await asyncio.sleep(4)
    await updater.complete()


#: What no team of ours ever answers: files, links, chunks, data without words. Only the kit asks for them.
RAW: dict[str, Act] = {
    "tck-artifact-data": _with(new_data_part({"key": "value", "count": 42})),
    "tck-artifact-file-url": _with(_LINK),
    "tck-artifact-file": _with(_FILE),
    "tck-stream-artifact-file": _with(_FILE),
    "tck-stream-artifact-chunked": _in_chunks,
    "test-resubscribe-message-id": _slowly,
    "tck-stream-002": lambda updater: updater.complete(),
}
_ONLY_A_MESSAGE = "tck-message-response"


async def _raw(context: RequestContext, queue: EventQueue) -> bool:
    """Does what no team does, if the message asks for that."""
    message = context.message
    assert message is not None
    if message.message_id.startswith(_ONLY_A_MESSAGE):
        answer = new_message([new_text_part("Direct message response")], role=Role.ROLE_AGENT)
        await queue.enqueue_event(answer)
        return True
    act = next((RAW[prefix] for prefix in RAW if message.message_id.startswith(prefix)), None)
    if act is None:
        return False
    await act(await _updater(context, queue))
    return True


async def _updater(context: RequestContext, queue: EventQueue) -> TaskUpdater:
    assert context.message is not None
    task = context.current_task or new_task_from_user_message(context.message)
    if context.current_task is None:
        await queue.enqueue_event(task)
    return TaskUpdater(queue, task.id, task.context_id)


def _scripted(message_id: str) -> RunResult:
    return next((RESULTS[prefix] for prefix in RESULTS if message_id.startswith(prefix)), DEFAULT)


class SampleAgent(AgentExecutor):
    """The script as an agent of the plain SDK."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        if await _raw(context, event_queue):
            return
        assert context.message is not None
        result, updater = _scripted(context.message.message_id), await _updater(context, event_queue)
        if result.state == "input_required":
            await updater.requires_input()
        elif result.state == "rejected":
            await updater.reject(updater.new_agent_message([new_text_part(result.text)]))
        else:
            await updater.start_work()
            await updater.add_artifact([new_text_part(result.text)], name="answer")
            await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id and context.context_id
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


class ScriptedTeam(TeamExecutor):
    """The script as a team's work: the team's own executor around it, but for what only the kit asks for."""

    def __init__(self, _handle: object) -> None:
        super().__init__(self._work)

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message is not None
        _MESSAGE.set(context.message.message_id)
        if not await _raw(context, event_queue):
            await super().execute(context, event_queue)

    async def _work(self, run: Run) -> RunResult:
        return _scripted(_MESSAGE.get())


def sample_server(url: str) -> FastAPI:
    """The SDK with all that it offers, around the script; `url` is where the kit reaches it."""
    card = AgentCard(
        name="sample",
        description="The script of the kit.",
        version="1",
        supported_interfaces=[AgentInterface(url=f"{url}/a2a", protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=True, push_notifications=False),
        default_input_modes=["text/plain", "application/json"],
        default_output_modes=["text/plain", "application/json"],
        skills=[AgentSkill(id="tck", name="tck", description="The script.", tags=["tck"])],
    )
    handler = DefaultRequestHandlerV2(SampleAgent(), InMemoryTaskStore(), card, validate_input_modes=True)
    app = FastAPI()
    add_a2a_routes_to_fastapi(
        app,
        agent_card_routes=create_agent_card_routes(card, cache_control="public, max-age=60"),
        jsonrpc_routes=[route for path in ("/a2a", "/a2a/") for route in create_jsonrpc_routes(handler, path)],
    )
    return app


def with_token(own: str, card: str, rpc: str, token: Callable[[], str]) -> FastAPI:
    """The kit shows no token and looks for the card at the root: this stands before `card` and `rpc`, and changes nothing else.

    `own` is where it is reached itself, and what it puts into the card.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        async with httpx.AsyncClient(timeout=60) as client:
            clients.append(client)
            yield

    clients: list[httpx.AsyncClient] = []
    app = FastAPI(lifespan=lifespan)

    def headers(request: Request) -> dict[str, str]:
        kept = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        return kept | {"Authorization": f"Bearer {token()}"}

    @app.get("/.well-known/agent-card.json")
    async def get(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        found = await clients[0].get(card, headers=headers(request))
        told = found.json()
        told["supportedInterfaces"] = [face | {"url": f"{own}/a2a"} for face in told["supportedInterfaces"]]
        kept = {name: value for name, value in found.headers.items() if name in ("etag", "cache-control")}
        return Response(httpx.Response(200, json=told).content, found.status_code, kept, "application/json")

    @app.post("/a2a")
    @app.post("/a2a/")
    async def post(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        passing = clients[0].build_request("POST", rpc, content=await request.body(), headers=headers(request))
        answer = await clients[0].send(passing, stream=True)

        async def body() -> AsyncGenerator[bytes]:
            try:
                async for piece in answer.aiter_raw():
                    yield piece
            finally:
                await answer.aclose()

        kept = {name: value for name, value in answer.headers.items() if name == "content-type"}
        return StreamingResponse(body(), answer.status_code, kept)

    return app
