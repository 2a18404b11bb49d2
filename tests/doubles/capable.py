"""A capable model behind OpenAI's wire, on loopback: what a server of one's own looks like from the outside.

It thinks with the rehearsal's head, so that a whole company can live from it; that it is another process's model, reached over HTTP with
tool calls and JSON schemas, is what is tested.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request

from mcp_servers.gateway.rehearsal.model import answer

NAME = "capable-1"


#: What a model understands from the request itself, the rehearsal is told: the purpose stays with the gateway.
_PURPOSES = {"Understanding": "understand-request", "Proposal": "design-team", "Diagnosis": "diagnose-incident"}


def _purpose(body: dict[str, Any]) -> str:
    wanted = (body.get("response_format") or {}).get("json_schema", {}).get("name", "")
    return _PURPOSES.get(wanted, "manager-work" if body.get("tools") else "member-work")


@dataclass
class CapableModel:
    """`journal` holds every request's body as it came."""

    journal: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/v1/models")
        def models() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
            return {"object": "list", "data": [{"id": NAME, "object": "model"}]}

        @app.post("/v1/chat/completions")
        async def chat(request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
            body = await request.json()
            self.journal.append(body)
            given = answer(body | {"purpose": _purpose(body)})
            return {
                "id": f"chatcmpl-{len(self.journal)}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": NAME,
                "choices": [{"index": 0, "message": given["message"], "finish_reason": given["finish_reason"]}],
                "usage": given["usage"],
            }

        return app
