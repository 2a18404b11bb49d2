"""The CEO as the model `ceo` on OpenAI's wire, for people's own clients. What it says is labelled and has its evidence with it.

The CEO is told the last words of the person, and the turns before them as the client repeats them. It takes no instructions for a
model (system messages, sampling, the client's own tools), for it is none. While it works a stream says which teams write to each
other (`reasoning_content`, which clients show apart or not at all) and that it is still there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from anyio import to_thread
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from bootstrap.office.history import as_history
from bootstrap.office.talks import Said, Talk, Talks, Words, key_of
from mcp_servers.gateway import openai_wire as wire
from mcp_servers.gateway.chat import ChatRequest, Message
from mcp_servers.gateway.event_response import EventResponse
from mcp_servers.gateway.prices import Tokens
from mcp_servers.gateway.reception import Reception, Speaker
from mcp_servers.gateway.refusals import Refused
from memory import messages, usage
from memory.session import Database
from teams.messages import PersonMessage, first_fault

CEO = "ceo"
WHERE = "/v1"
LABEL = "[rehearsal, no real model] "
#: How often a stream looks for something to say, and how often a silent one says that it is still there.
LOOK_S, PING_S = 1.0, 15.0
#: The OpenAI SDK's count of its own tries of one request.
_RETRY = "x-stainless-retry-count"


@dataclass(frozen=True)
class CeoAtV1:
    """A `Colleague`. `new_id` gives fresh ids for completions."""

    talks: Talks
    database: Database
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    look_s: float = LOOK_S
    ping_s: float = PING_S
    name: str = CEO

    async def answer(self, at: Reception, speaker: Speaker, wanted: ChatRequest, request: Request) -> Response:
        """Raises `Refused`."""
        try:
            message = read(wanted)
        except Refused as refused:
            raise await at.refuse(speaker, WHERE, refused) from refused
        words = Words(f"v1.{speaker.token}.", key_of(message.model_dump(mode="json")), message)

        async def note(outcome: str, correlation_id: str) -> None:
            await at.note(speaker, WHERE, outcome, {"correlation_id": correlation_id})

        again = request.headers.get(_RETRY, "0") != "0" or "idempotency-key" in request.headers
        talk = await self.talks.say(words, note, lost_answer=again)
        head = {"id": f"chatcmpl-{self.new_id()}", "created": int(self.now().timestamp()), "model": CEO}
        headers = {"x-elf-run": talk.correlation_id, "cache-control": "no-store"}
        if wanted.stream:
            return EventResponse(self._events(head, wanted, talk), headers, _nothing)
        return await self._whole(head, talk, request, headers)

    async def _whole(self, head: dict[str, Any], talk: Talk, request: Request, headers: dict[str, str]) -> Response:
        while not talk.said.done():
            await asyncio.wait({talk.said}, timeout=self.look_s)
            if await request.is_disconnected():
                return Response(status_code=499)
        message = {"role": "assistant", "content": in_words(talk.outcome(), talk.repeated)}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        tokens = await self._tokens(talk)
        body = head | {"object": "chat.completion", "choices": [choice]}
        # What nobody counted is left out, and not called nothing.
        body |= {"usage": wire.usage(tokens)} if tokens else {}
        return Response(to_json(body), 200, headers, "application/json")

    async def _events(self, head: dict[str, Any], wanted: ChatRequest, talk: Talk) -> AsyncGenerator[bytes]:
        head = head | {"object": "chat.completion.chunk"}

        def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
            return wire.event(head | {"choices": [wire.choice(delta, finish)]})

        yield chunk({"role": "assistant", "content": ""})
        async for line in self._progress(talk):
            yield chunk({"reasoning_content": line + "\n"}) if line else b": the CEO is still at work\n\n"
        try:
            said = talk.outcome()
        except Refused as refused:
            yield wire.event({"error": wire.error(refused)})
            return
        yield chunk({"content": in_words(said, talk.repeated)})
        yield chunk({}, "stop")
        if wanted.stream_options is not None and wanted.stream_options.include_usage:
            yield wire.event(head | {"choices": [], "usage": wire.usage(await self._tokens(talk))})
        yield b"data: [DONE]\n\n"

    async def _progress(self, talk: Talk) -> AsyncGenerator[str]:
        """What crosses between teams, as it does; an empty line when it was silent for long. Ends when the CEO has answered."""
        seen, silent = set[str](), 0.0
        while not talk.said.done():
            await asyncio.wait({talk.said}, timeout=self.look_s)
            fresh = [line for line in await to_thread.run_sync(self._crossed, talk.correlation_id) if line not in seen]
            seen.update(fresh)
            silent = 0.0 if fresh else silent + self.look_s
            if silent >= self.ping_s:
                fresh, silent = [""], 0.0
            for line in fresh:
                yield line

    def _crossed(self, correlation_id: str) -> list[str]:
        with self.database.read() as session:
            rows = list(reversed(messages.latest(session, correlation=correlation_id)))
        lines: list[str] = []
        for one in rows:
            if one.sent.hop > 1:
                lines.append(
                    f"{one.sent.sender} wrote to {one.sent.receiver} ({one.sent.kind}), message {one.sent.id[:8]}"
                )
                if one.answer is not None:
                    lines.append(f"{one.sent.receiver} answered {one.sent.id[:8]}: {one.answer.state}")
        return lines

    async def _tokens(self, talk: Talk) -> Tokens | None:
        """What everything that the message led to has taken, in all teams; None if that is not known, or was paid before."""
        if talk.repeated is not None:
            return None

        def look() -> usage.Total | None:
            with self.database.read() as session:
                return usage.metered(session, talk.correlation_id)

        found = await to_thread.run_sync(look)
        return Tokens(found.tokens_in, found.tokens_out) if found else None


def read(wanted: ChatRequest) -> PersonMessage:
    """The person's last words and the turns before. Raises `Refused` for what the CEO cannot do as if it were done."""
    if wanted.tool_choice not in (None, "auto", "none") or wanted.response_format is not None:
        text = "The CEO answers in words: it calls none of your tools and fills no format. Leave tool_choice and response_format out."
        raise Refused("bad_request", text, param="tool_choice")
    *before, last = wanted.messages
    if last.role != "user":
        raise Refused(
            "bad_request", "The last message must be yours (role 'user'): it is what the CEO is told.", param="messages"
        )
    if isinstance(last.content, list) and any(part.type != "text" for part in last.content):
        raise Refused("bad_request", "The CEO reads text alone; send no images.", param="messages")
    try:
        return PersonMessage(text=_text(last), history=as_history(_spoken(before)))
    except ValidationError as error:
        raise Refused("bad_request", f"messages: {first_fault(error)}.", param="messages") from error


def in_words(said: Said, repeated: datetime | None) -> str:
    """The answer for a client that shows text alone: labelled, with the company's own records of what was done below it."""
    lines = [(LABEL if said["rehearsal"] else "") + said["answer"]]
    if said["evidence"]:
        lines.append("Evidence:\n" + "\n".join(f"- {one['text']}" for one in said["evidence"]))
    if repeated is not None:
        lines.append(
            f"(You said this at {repeated:%H:%M} UTC: this is the answer from then, and nothing was done twice. "
            "To have it done again, say it in other words.)"
        )
    return "\n\n".join(lines)


def _spoken(before: Sequence[Message]) -> list[tuple[str, str]]:
    """Who said what, by the client's word. It confers no authority, whatever it is."""
    speakers = {"user": "person", "assistant": "ceo"}
    return [(speakers[one.role], _text(one).removeprefix(LABEL)) for one in before if one.role in speakers]


def _text(message: Message) -> str:
    if isinstance(message.content, list):
        return "\n".join(
            str((part.model_extra or {}).get("text", "")) for part in message.content if part.type == "text"
        )
    return message.content or ""


async def _nothing() -> None:
    """A listener who leaves ends nothing."""
