"""A team's process as the gateway meets it: A2A JSON-RPC behind an inbound token, programmable, with a journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

INBOUND_TOKEN = "inbound-token-of-a-team"


@dataclass
class Team:
    """The stand-in's state. `on_message` runs before it answers, as a team at work would."""

    text: str = "A headline."
    state: str = "TASK_STATE_COMPLETED"
    seconds: float = 0
    raw: str | None = None
    error: dict[str, Any] | None = None
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
        task = self._task(body["params"])
        self.tasks.append(task)
        return JSONResponse(head | {"result": {"task": task} if body["method"] == "SendMessage" else task})

    def _task(self, params: dict[str, Any]) -> dict[str, Any]:
        message = params.get("message", {})
        parts = [{"text": self.text}, {"data": {"effects": []}}]
        return {
            "id": message.get("taskId") or params.get("id") or f"task-{uuid4().hex}",
            "contextId": message.get("contextId") or f"context-{uuid4().hex}",
            "status": {"state": self.state},
            "artifacts": [{"artifactId": "answer", "parts": parts}],
        }
