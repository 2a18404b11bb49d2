"""Brings a message to a team's process and its answer back: in time, or as a failure; late ones are written down all the same."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import anyio
import httpx
from pydantic_core import from_json

from mcp_servers.gateway import a2a_message, jsonrpc
from mcp_servers.gateway.door import Door, sha256
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.jsonrpc import RpcError
from mcp_servers.gateway.rates import Rates
from mcp_servers.gateway.refusals import Refused
from memory import messages
from memory.messages import Answered, Sent

MAX_ANSWER_BYTES = 2_000_000


class Broken(Refused):
    """A stream that ended in the middle: what came before stands, and there is no answer."""

    def __init__(self, team: str) -> None:
        super().__init__(
            "upstream_failed",
            f"The stream of the team {team} broke off before its answer; what came so far is not all. "
            "Ask for the task with GetTask, or send again.",
        )


@dataclass(frozen=True)
class TeamAddress:
    """Where a team's process serves, and the token it lets the gateway in with."""

    base_url: str
    inbound_token: str


@dataclass(frozen=True)
class Relay:
    """What the routes need. `address_of` may read a database; `public_url` is the gateway's own address."""

    door: Door
    client: httpx.AsyncClient
    address_of: Callable[[str], TeamAddress | None]
    public_url: str
    #: Messages that teams are at work on, late ones too, and who listens to what.
    carrying: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])
    #: Messages whose answer is being streamed, by team and task.
    streaming: dict[tuple[str, str], Passage] = field(default_factory=dict[tuple[str, str], "Passage"])
    #: How often each team has sent in the last minute.
    rates: Rates = field(default_factory=Rates)
    #: How many streams each sender is subscribed to.
    subscribed: Counter[str] = field(default_factory=Counter[str])

    def keep(self, work: asyncio.Task[Any]) -> None:
        """Holds on to work that nobody waits for, until it ends."""
        self.carrying.add(work)
        work.add_done_callback(self.carrying.discard)

    def listen(self, caller: Caller, reading: asyncio.Task[Any]) -> None:
        """Counts a subscription for as long as it is read."""
        self.keep(reading)
        self.subscribed[caller.address] += 1
        reading.add_done_callback(lambda _: self.subscribed.subtract((caller.address,)))

    async def close(self) -> None:
        """Gives up every answer that has not come; each is written down as lost."""
        waiting = list(self.carrying)
        for carrying in waiting:
            carrying.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@dataclass
class Passage:
    """A message on its way: to whom, and by when its answer is due. `overdue` once its sender was told that it is late."""

    caller: Caller
    sent: Sent
    address: TeamAddress
    body: dict[str, Any]
    deadline: datetime
    overdue: bool = False
    #: The task it became, as soon as a stream has said so.
    task: str | None = None


async def deliver(relay: Relay, passage: Passage, timeout: timedelta) -> dict[str, Any]:
    """The team's answer if it comes in time; else a failed task, at the deadline. A late answer is still written down."""
    waited = timeout + a2a_message.LATE_GRACE
    team, address = passage.sent.receiver, passage.address
    carrying = asyncio.create_task(
        carry(relay, passage, lambda: ask(relay, passage.caller, team, address, passage.body, waited))
    )
    relay.keep(carrying)
    done, _ = await asyncio.wait({carrying}, timeout=timeout.total_seconds())
    if not done:
        carrying.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        await note_overdue(relay, passage)
    else:
        result = carrying.result()
        if not passage.overdue:
            return result
    return a2a_message.late_task(passage.sent.id, passage.sent.receiver, passage.deadline)


async def note_overdue(relay: Relay, passage: Passage) -> None:
    """The deadline has passed, and the team is still at work."""
    passage.overdue = True
    detail = {"message": passage.sent.id, "correlation_id": passage.sent.correlation_id}
    await relay.door.record(
        passage.caller,
        "message.deadline",
        passage.sent.receiver,
        "failed",
        detail | {"deadline": passage.deadline.isoformat()},
        lambda session: messages.record_overdue(session, passage.sent.id),
    )


async def carry(relay: Relay, passage: Passage, asking: Callable[[], Awaitable[object]]) -> dict[str, Any]:
    """The team's result; whatever happens, and however late, what came back is recorded with the message."""
    door, sent, caller = relay.door, passage.sent, passage.caller
    state, text, task, context, digest = "lost", "", None, None, None
    door.under_way.began(sent.receiver, sent.id, sent.correlation_id)
    try:
        result = await asking()
        state, digest = "invalid", digest_of(result)
        incoming = a2a_message.read_incoming(result)
        state, text, task, context = incoming.state, incoming.text, incoming.task, incoming.context
        return cast("dict[str, Any]", result)
    except ValueError as error:
        state = "invalid"
        raise RpcError(a2a_message.INVALID_ANSWER, f"The team {sent.receiver} answered with {error}.") from error
    except RpcError:
        state = "error"
        raise
    except Refused as refused:
        failed = "broken" if isinstance(refused, Broken) else "unreachable"
        state, text = "timeout" if refused.code == "timeout" else failed, refused.message
        raise
    finally:
        door.under_way.ended(sent.receiver, sent.id)
        now, answer = door.clock(), state
        passage.overdue = passage.overdue or now > passage.deadline
        if passage.overdue:
            state = messages.OVERDUE if state == "lost" else messages.LATE
        answered = Answered(now, state, text, task or passage.task, context)
        detail = {"message": sent.id, "correlation_id": sent.correlation_id, "result_sha256": digest}
        with anyio.CancelScope(shield=True):
            await door.record(
                caller,
                "message.answer",
                sent.receiver,
                state,
                detail | ({"answer": answer} if passage.overdue else {}),
                lambda session: messages.record_answer(session, sent.id, answered),
            )


async def ask(
    relay: Relay, caller: Caller, team: str, address: TeamAddress, body: dict[str, Any], timeout: timedelta
) -> object:
    """The result in the team's answer. `Refused` if there is no answer, `RpcError` if the answer is an error."""
    url = f"{address.base_url}/a2a"
    return result_in(await fetch(relay, "POST", team, url, timeout, headers_for(caller, address), body), team)


def headers_for(caller: Caller, address: TeamAddress) -> dict[str, str]:
    """What the gateway shows to a team: that it is the gateway, and for whom it speaks."""
    return {
        "Authorization": f"Bearer {address.inbound_token}",
        "A2A-Version": a2a_message.VERSION,
        "X-Elf-Caller": caller.address,
    }


def result_in(answer: dict[str, Any], team: str) -> object:
    """The result in a team's JSON-RPC answer. Raises `RpcError` if it is an error."""
    if isinstance(error := answer.get("error"), dict):
        told = cast("dict[str, Any]", error)
        code = told.get("code")
        text = str(told.get("message", "no reason given"))[:500]
        raise RpcError(code if isinstance(code, int) else jsonrpc.INTERNAL_ERROR, f"The team {team} says: {text}")
    return answer.get("result")


async def fetch(
    relay: Relay,
    method: str,
    team: str,
    url: str,
    timeout: timedelta,
    headers: dict[str, str] | None = None,
    body: object = None,
) -> dict[str, Any]:
    """A JSON object from a team's process, at most `MAX_ANSWER_BYTES` long, within the time. Raises `Refused`."""
    content = b""
    seconds = timeout.total_seconds()
    try:
        with anyio.fail_after(seconds):
            async with relay.client.stream(method, url, headers=headers, json=body, timeout=seconds) as response:
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise too_much(team)
    except (TimeoutError, httpx.TimeoutException) as error:
        raise Refused("timeout", f"The team {team} did not answer in {seconds:.0f} s; set a later deadline.") from error
    except httpx.HTTPError as error:
        raise Refused(
            "upstream_failed", f"The team {team} cannot be reached now; it is restarted by itself, try again shortly."
        ) from error
    if response.status_code != 200:
        raise Refused("upstream_failed", f"The team {team} answered with HTTP {response.status_code}; see its log.")
    return json_object(content, team)


def json_object(content: bytes, team: str) -> dict[str, Any]:
    """The object in a team's answer. Raises `Refused`."""
    try:
        answer = from_json(content)
    except ValueError as error:
        raise Refused("upstream_failed", f"The team {team} answered with something that is not JSON.") from error
    if not isinstance(answer, dict):
        raise Refused("upstream_failed", f"The team {team} answered with something that is not an object.")
    return cast("dict[str, Any]", answer)


def too_much(team: str) -> Refused:
    return Refused("upstream_failed", f"The team {team} answered with too much; nothing of it was used.")


def digest_of(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode())
