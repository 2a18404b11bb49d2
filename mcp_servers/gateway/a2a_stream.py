"""Messages whose answer comes as a stream, and subscriptions to a task: passed on event by event, under the rules of a plain send.

A team's work does not hang on who listens: it is carried to its end, and its answer is written down, whether the sender stays or
not. A stream ends with the answer, which is written down by then, or with an error that says why there is none: broken off in the
middle, invalid, or past the deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from fastapi.responses import JSONResponse, Response
from pydantic_core import to_json

from mcp_servers.gateway import a2a_message, jsonrpc
from mcp_servers.gateway.a2a_delivery import (
    MAX_ANSWER_BYTES,
    Broken,
    Passage,
    Relay,
    TeamAddress,
    carry,
    headers_for,
    json_object,
    note_overdue,
    result_in,
    too_much,
)
from mcp_servers.gateway.a2a_events import WAITING, StreamedAnswer
from mcp_servers.gateway.event_response import EventResponse
from mcp_servers.gateway.event_stream import EventReader
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.jsonrpc import RpcError
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.rpc_server import UpstreamFailed
from memory import messages
from memory.messages import MAX_ID

#: How often a silent stream says that it is still there.
PING_S = 15.0
#: Streams that one sender may be subscribed to at once.
MAX_SUBSCRIPTIONS = 16

Each = Callable[[object], Awaitable[bool]]


@dataclass(frozen=True)
class End:
    """A stream's end; `error` is a JSON-RPC error object, None after an answer."""

    error: dict[str, Any] | None = None


@dataclass
class Feed:
    """What a listener has still to be told. It holds what a team may answer at the most; who left is told no more."""

    _items: asyncio.Queue[dict[str, Any] | End] = field(default_factory=asyncio.Queue[dict[str, Any] | End])
    _open: bool = True

    def tell(self, item: dict[str, Any] | End) -> None:
        if self._open:
            self._items.put_nowait(item)
            self._open = not isinstance(item, End)

    def leave(self) -> None:
        self._open = False

    async def next(self, within_s: float | None = None) -> dict[str, Any] | End | None:
        """The next item; None if there was none in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                return await self._items.get()
        return None


async def deliver_stream(relay: Relay, passage: Passage, timeout: timedelta, call_id: str | int | None) -> Response:
    """The team's events as they come; what fails before the first is a plain answer."""
    feed = Feed()
    carrying = asyncio.create_task(_carried(relay, passage, timeout, feed))
    watching = asyncio.create_task(_watch(relay, passage, timeout, feed))
    carrying.add_done_callback(lambda _: watching.cancel())
    relay.keep(carrying)
    relay.keep(watching)
    return await _response(feed, call_id, feed.leave)


async def subscribe(
    relay: Relay, caller: Caller, team: str, address: TeamAddress, task: str, call_id: str | int | None
) -> Response:
    """The events of a task from now on: until it ends, its message's deadline passes, or it was silent for too long."""
    feed, passage = Feed(), relay.streaming.get((team, task))
    ended = _late(passage) if passage else _silent(team)
    timeout = passage.deadline - relay.door.clock() if passage else a2a_message.DEFAULT_TIMEOUT
    if passage and (passage.overdue or timeout <= timedelta(0)):
        return _error(call_id, ended)
    if relay.subscribed[caller.address] >= MAX_SUBSCRIPTIONS:
        raise Refused("overloaded", f"You are subscribed to {MAX_SUBSCRIPTIONS} streams; end one of them first.")
    await relay.door.record(caller, "message.subscribe", team, "allowed", {"task": task[:MAX_ID]})
    body = {"jsonrpc": "2.0", "id": relay.door.new_id(), "method": "SubscribeToTask", "params": {"id": task}}
    answer = StreamedAnswer()

    async def each(event: object) -> bool:
        feed.tell(answer.take(event))
        return answer.over

    async def following() -> None:
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await _read(relay, caller, team, address, body, timeout + a2a_message.LATE_GRACE, each)
            feed.tell(End())
        except TimeoutError:
            feed.tell(End(ended))
        except (RpcError, Refused, ValueError) as failure:
            feed.tell(End(_failed(failure, team)))
        finally:
            feed.tell(End(_failed(Broken(team), team)))

    reading = asyncio.create_task(following())
    relay.listen(caller, reading)
    return await _response(feed, call_id, reading.cancel)


async def _carried(relay: Relay, passage: Passage, timeout: timedelta, feed: Feed) -> None:
    """The message to its end: the listener is told, and the answer is recorded before its last event is passed on."""
    team, answer, held = passage.sent.receiver, StreamedAnswer(), list[dict[str, Any]]()

    async def each(event: object) -> bool:
        taken, began = answer.take(event), passage.task is None
        if began and answer.task is not None:
            passage.task = answer.task
            relay.streaming[(team, answer.task)] = passage
            await _note_task(relay, passage, answer)
        if relay.door.clock() > passage.deadline:
            feed.tell(End(_late(passage)))
        if answer.over or answer.state in WAITING:
            held.append(taken)
            return True
        feed.tell(taken)
        return False

    async def asking() -> object:
        waited = timeout + a2a_message.LATE_GRACE
        await _read(relay, passage.caller, team, passage.address, passage.body, waited, each)
        return answer.result()

    try:
        await carry(relay, passage, asking)
        if passage.overdue:
            feed.tell(End(_late(passage)))
        for last in held:
            feed.tell(last)
        feed.tell(End())
    except (RpcError, Refused) as failure:
        feed.tell(End(_late(passage) if passage.overdue else _failed(failure, team)))
    finally:
        relay.streaming.pop((team, passage.task or ""), None)
        feed.tell(End(_failed(Broken(team), team)))


async def _watch(relay: Relay, passage: Passage, timeout: timedelta, feed: Feed) -> None:
    """At the deadline the stream ends for its sender; the team's answer is void from then on."""
    await asyncio.sleep(timeout.total_seconds())
    noting = asyncio.create_task(note_overdue(relay, passage))
    relay.keep(noting)
    try:
        await asyncio.shield(noting)
    finally:
        feed.tell(End(_late(passage)))


async def _note_task(relay: Relay, passage: Passage, answer: StreamedAnswer) -> None:
    """From now on the sender may ask for the task, and subscribe to it again."""
    sent, task, context = passage.sent, answer.task or "", answer.context
    detail = {"message": sent.id, "correlation_id": sent.correlation_id, "task": task[:MAX_ID]}
    await relay.door.record(
        passage.caller,
        "message.stream",
        sent.receiver,
        "began",
        detail,
        lambda session: messages.record_task(session, sent.id, task, context),
    )


async def _read(
    relay: Relay,
    caller: Caller,
    team: str,
    address: TeamAddress,
    body: dict[str, Any],
    timeout: timedelta,
    each: Each,
) -> None:
    """Hands every event's result to `each` until that says that it was the last. Raises `Refused`, and `RpcError` for an error."""
    seconds, began = timeout.total_seconds(), False
    url, headers = f"{address.base_url}/a2a", headers_for(caller, address) | {"Accept": "text/event-stream"}
    try:
        async with (
            asyncio.timeout(seconds),
            relay.client.stream("POST", url, headers=headers, json=body, timeout=seconds) as response,
        ):
            if response.status_code != 200:
                text = f"The team {team} answered with HTTP {response.status_code}; see its log."
                raise Refused("upstream_failed", text)
            streamed = response.headers.get("content-type", "").startswith("text/event-stream")
            async for data in _events(response, team) if streamed else _whole(response, team):
                began = True
                if await each(result_in(json_object(data, team), team)):
                    return
    except (TimeoutError, httpx.TimeoutException) as error:
        raise Refused("timeout", f"The team {team} did not answer in {seconds:.0f} s; set a later deadline.") from error
    except httpx.HTTPError as error:
        if began:
            raise Broken(team) from error
        raise Refused(
            "upstream_failed", f"The team {team} cannot be reached now; it is restarted by itself, try again shortly."
        ) from error
    raise Broken(team)


async def _events(response: httpx.Response, team: str) -> AsyncGenerator[bytes]:
    """The data of each server-sent event; all of them together are `MAX_ANSWER_BYTES` at the most."""
    reader, size = EventReader(MAX_ANSWER_BYTES), 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise too_much(team)
        try:
            events = reader.feed(piece)
        except UpstreamFailed as error:
            raise too_much(team) from error
        for event in events:
            if event.data:
                yield event.data


async def _whole(response: httpx.Response, team: str) -> AsyncGenerator[bytes]:
    """A plain body, as the one event that it is."""
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > MAX_ANSWER_BYTES:
            raise too_much(team)
    yield bytes(content)


async def _response(feed: Feed, call_id: str | int | None, leave: Callable[[], object]) -> Response:
    """What is told to the listener; `leave` is called when it is gone, or has heard all."""
    first = await feed.next()
    if first is None or isinstance(first, End):
        return _error(call_id, (first.error if first else None) or {})

    async def closing() -> None:
        leave()

    return EventResponse(_sent(feed, first, call_id), {"cache-control": "no-store"}, closing)


async def _sent(feed: Feed, first: dict[str, Any], call_id: str | int | None) -> AsyncGenerator[bytes]:
    """The stream as its listener sees it, each event an answer to their own call."""
    head, item = {"jsonrpc": "2.0", "id": call_id}, first
    while not isinstance(item, End):
        yield b"data: " + to_json(head | {"result": item}) + b"\n\n"
        while (item := await feed.next(PING_S)) is None:
            yield b": still there\n\n"
    if item.error is not None:
        yield b"event: error\ndata: " + to_json(head | {"error": item.error}) + b"\n\n"


def _error(call_id: str | int | None, error: dict[str, Any]) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": call_id, "error": error})


def _failed(failure: RpcError | Refused | ValueError, team: str) -> dict[str, Any]:
    if isinstance(failure, Refused):
        return jsonrpc.refusal_object(failure)
    if isinstance(failure, ValueError):
        failure = RpcError(a2a_message.INVALID_ANSWER, f"The team {team} answered with {failure}.")
    data = a2a_message.error_info(failure.code)
    return {"code": failure.code, "message": failure.message} | ({"data": data} if data else {})


def _late(passage: Passage) -> dict[str, Any]:
    return a2a_message.late_error(passage.sent.id, passage.sent.receiver, passage.deadline)


def _silent(team: str) -> dict[str, Any]:
    seconds = a2a_message.DEFAULT_TIMEOUT.total_seconds()
    text = f"{team} said nothing more about this task in {seconds:.0f} s. Ask with GetTask, or subscribe again."
    return jsonrpc.refusal_object(Refused("timeout", text))
