"""A team's process as the gateway meets it: A2A JSON-RPC behind an inbound token, programmable, with a journal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

INBOUND_TOKEN = "inbound-token-of-a-team"


@dataclass
class Team:
    """The stand-in's state. `on_message` runs before it answers, as a team at work would."""

    text: str = "A headline."
    state: str = "TASK_STATE_COMPLETED"
    seconds: float = 0
    raw: str | None = None
    error: dict[str, Any] | None = None
    #: What a stream is made of, instead of the events of an ordinary answer; an exception cuts the connection.
    events: Sequence[dict[str, Any] | bytes | Exception] | None = None
    #: Seconds before each event but the first.
    pause: float = 0
    #: Streams whose listener left, or that came to their end.
    closed: int = 0
    on_message: Callable[[dict[str, Any]], Awaitable[None]] | None = None
    tasks: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    journal: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/agent-card.json")
        async def card() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction] - a route
            interface = {"url": "http://10.0.0.9:1/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
            return {
                "name": "marketing-team",
                "description": "Writes.",
                "version": "1",
                "supportedInterfaces": [interface],
                "capabilities": {"streaming": True, "pushNotifications": True},
                "defaultInputModes": ["text/plain"],
                "defaultOutputModes": ["text/plain"],
                "skills": [],
                "signatures": [{"protected": "x", "signature": "y"}],
            }

        @app.post("/a2a")
        async def rpc(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
            return await self._answer(request)

        return app

    async def _answer(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {INBOUND_TOKEN}":
            return PlainTextResponse("who are you?", 401)
        body = await request.json()
        self.journal.append(body)
        self.headers.append(dict(request.headers))
        await asyncio.sleep(self.seconds)
        if self.on_message is not None:
            await self.on_message(body)
        if self.raw is not None:
            return PlainTextResponse(self.raw)
        head = {"jsonrpc": "2.0", "id": body["id"]}
        if self.error is not None:
            return JSONResponse(head | {"error": self.error})
        if body["method"] == "ListTasks":
            return JSONResponse(head | {"result": {"tasks": list(reversed(self.tasks)), "nextPageToken": ""}})
        if body["method"] in ("SendStreamingMessage", "SubscribeToTask"):
            return StreamingResponse(self._stream(body), media_type="text/event-stream")
        task = self._task(body["params"])
        self.tasks.append(task)
        return JSONResponse(head | {"result": {"task": task} if body["method"] == "SendMessage" else task})

    async def _stream(self, body: dict[str, Any]) -> AsyncGenerator[bytes]:
        whole = self._task(body["params"])
        ids = {"taskId": whole["id"], "contextId": whole["contextId"]}
        usual: list[dict[str, Any]] = [
            {"task": {"id": whole["id"], "contextId": whole["contextId"], "status": {"state": "TASK_STATE_SUBMITTED"}}},
            {"statusUpdate": ids | {"status": {"state": "TASK_STATE_WORKING"}}},
            {"artifactUpdate": ids | {"artifact": whole["artifacts"][0]}},
            {"statusUpdate": ids | {"status": whole["status"]}},
        ]
        try:
            for place, event in enumerate(usual if self.events is None else self.events):
                await asyncio.sleep(self.pause if place else 0)
                if isinstance(event, Exception):
                    raise event
                answer = {"jsonrpc": "2.0", "id": body["id"], "result": event}
                yield event if isinstance(event, bytes) else b"data: " + json.dumps(answer).encode() + b"\r\n\r\n"
        finally:
            self.closed += 1

    def _task(self, params: dict[str, Any]) -> dict[str, Any]:
        message = params.get("message", {})
        parts = [{"text": self.text}, {"data": {"effects": []}}]
        return {
            "id": message.get("taskId") or params.get("id") or f"task-{uuid4().hex}",
            "contextId": message.get("contextId") or f"context-{uuid4().hex}",
            "status": {"state": self.state},
            "artifacts": [{"artifactId": "answer", "parts": parts}],
        }
