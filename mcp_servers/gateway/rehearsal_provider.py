"""The rehearsal model as a provider: what answers when no real model is configured, in the same form as any other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from anyio import to_thread

from mcp_servers.gateway.chat import Answer, ChatRequest, Piece, credible_tokens

_REHEARSAL_PIECE = 24


class RehearsalProvider:
    """The rehearsal model: a pure function from request to answer, run in a worker thread."""

    def __init__(self, answer: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        self._answer = answer

    async def answer(self, request: ChatRequest, purpose: str) -> Answer:
        given = await to_thread.run_sync(self._answer, request.wire() | {"purpose": purpose})
        usage = given["usage"]
        tokens = credible_tokens(usage["prompt_tokens"], usage["completion_tokens"])
        return Answer(dict(given["message"]), given["finish_reason"], tokens)

    async def stream(self, request: ChatRequest, purpose: str) -> AsyncGenerator[Piece]:
        answer = await self.answer(request, purpose)
        text: str = answer.message.get("content") or ""
        for start in range(0, len(text), _REHEARSAL_PIECE):
            yield Piece({"content": text[start : start + _REHEARSAL_PIECE]})
        if calls := answer.message.get("tool_calls"):
            yield Piece({"tool_calls": [{"index": index, **call} for index, call in enumerate(calls)]})
        yield Piece(finish_reason=answer.finish_reason, tokens=answer.tokens)
