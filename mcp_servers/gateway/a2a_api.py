"""Messages between teams: POST /a2a/{team} relays A2A 1.0 JSON-RPC to the team's manager; its card is beside it.

Only managers, a person and the kernel send; every message and answer is recorded. The chain a message belongs to (hop, teams
visited) is the gateway's own knowledge, not the sender's word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import anyio
import httpx
from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic_core import from_json
from sqlalchemy.orm import Session

from mcp_servers.gateway import a2a_message, jsonrpc
from mcp_servers.gateway.a2a_message import Outgoing
from mcp_servers.gateway.door import Door, sha256
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.jsonrpc import Call, RpcError
from mcp_servers.gateway.refusals import Refused
from memory import messages
from memory.messages import Answered, Chain, Sent

CARD_SECONDS = 5.0
MAX_ANSWER_BYTES = 2_000_000

_TEAM = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,119}")


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


def a2a_router(relay: Relay) -> APIRouter:
    """The routes under /a2a."""
    router = APIRouter()

    @router.post("/a2a/{team}")
    @router.post("/a2a/{team}/")
    async def post(team: str, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        try:
            caller = await relay.door.identify(request.headers.get("authorization"))
        except Refused as refused:
            return jsonrpc.unauthenticated(refused)
        try:
            call = jsonrpc.parse(await request.body())
        except RpcError as error:
            return jsonrpc.error(error.call_id, error.code, error.message)
        if request.headers.get("a2a-version", "") != a2a_message.VERSION:
            text = f"Send the header A2A-Version: {a2a_message.VERSION}; no other version is spoken here."
            return jsonrpc.error(call.id, a2a_message.VERSION_NOT_SUPPORTED, text)
        try:
            return jsonrpc.result(call, await _handle(relay, caller, team, call, request))
        except Refused as refused:
            return jsonrpc.refusal(call.id, refused)
        except RpcError as error:
            return jsonrpc.error(call.id, error.code, error.message)

    @router.get("/a2a/{team}/.well-known/agent-card.json")
    async def card(team: str, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        try:
            await relay.door.identify(request.headers.get("authorization"))
            return JSONResponse(await _card(relay, team))
        except Refused as refused:
            if refused.code == "unauthenticated":
                return jsonrpc.unauthenticated(refused)
            return JSONResponse({"error": refused.message}, 404 if refused.code == "not_found" else 502)

    return router


async def _handle(relay: Relay, caller: Caller, team: str, call: Call, request: Request) -> object:
    if "PushNotificationConfig" in call.method or "pushNotificationConfig" in call.method:
        raise RpcError(a2a_message.PUSH_NOT_SUPPORTED, "Push notifications are not supported; ask with GetTask.")
    method = a2a_message.METHODS.get(call.method)
    if method is None:
        streaming = call.method in ("SendStreamingMessage", "message/stream", "SubscribeToTask", "tasks/resubscribe")
        code = a2a_message.UNSUPPORTED if streaming else jsonrpc.METHOD_NOT_FOUND
        raise RpcError(code, f"{call.method[:60]!r} does not pass here; SendMessage, GetTask and CancelTask do.")
    try:
        relay.door.grants.check_message(caller, team)
        address = await _address(relay, team)
        if method != "SendMessage":
            return await _about_task(relay, caller, team, address, call, method)
        return await _send(relay, caller, team, address, call, request)
    except Refused as refused:
        # What fails on the way is recorded as the message's answer; here is what was not sent at all.
        if refused.code not in ("upstream_failed", "timeout"):
            detail = {"method": method, "why": refused.message, "params_sha256": _sha256(call.params)}
            await relay.door.record(caller, "message.send", team[:40], "refused", detail)
        raise


async def _send(
    relay: Relay, caller: Caller, team: str, address: TeamAddress, call: Call, request: Request
) -> dict[str, Any]:
    now = relay.door.clock()
    outgoing = a2a_message.read_outgoing(call.params, caller)
    timeout = a2a_message.timeout_of(outgoing.envelope, now)
    message_id, correlation = relay.door.new_id(), _correlation(outgoing, request, relay)
    await _check_owner(relay, caller, team, outgoing)
    parent = await _parent(relay, caller, correlation)
    chain = a2a_message.next_hop(team, caller, parent)
    sent = Sent(
        id=message_id,
        at=now,
        correlation_id=correlation,
        sender=caller.address,
        sender_scope=_scope(caller),
        receiver=team,
        kind=outgoing.kind,
        hop=chain.hop,
        visited=chain.visited,
        text=outgoing.text,
    )
    facts = {"message": message_id, "hop": chain.hop, "kind": outgoing.kind, "correlation_id": correlation}
    detail = facts | {"visited": list(chain.visited), "params_sha256": _sha256(outgoing.params)}
    await relay.door.record(
        caller, "message.send", team, "allowed", detail, lambda session: messages.record_sent(session, sent)
    )
    stamp = {"sender": caller.address, "hop": chain.hop, "visited": list(chain.visited), "correlation_id": correlation}
    body = {"jsonrpc": "2.0", "id": message_id, "method": "SendMessage"}
    body |= {"params": a2a_message.stamped(outgoing, stamp)}
    return await _deliver(relay, caller, sent, address, body, timeout)


async def _deliver(
    relay: Relay, caller: Caller, sent: Sent, address: TeamAddress, body: dict[str, Any], timeout: timedelta
) -> dict[str, Any]:
    """The team's result; whatever happens, what came back is recorded with the message."""
    state, text, task, context, digest = "lost", "", None, None, None
    try:
        result = await _ask(relay, caller, sent.receiver, address, body, timeout)
        state, digest = "invalid", _sha256(result)
        incoming = a2a_message.read_incoming(result)
        state, text, task, context = incoming.state, incoming.text, incoming.task, incoming.context
        return cast("dict[str, Any]", result)
    except ValueError as error:
        raise RpcError(a2a_message.INVALID_ANSWER, f"The team {sent.receiver} answered with {error}.") from error
    except RpcError:
        state = "error"
        raise
    except Refused as refused:
        state, text = "timeout" if refused.code == "timeout" else "unreachable", refused.message
        raise
    finally:
        answered = Answered(relay.door.clock(), state, text, task, context)
        detail = {"message": sent.id, "correlation_id": sent.correlation_id, "result_sha256": digest}
        with anyio.CancelScope(shield=True):
            await relay.door.record(
                caller,
                "message.answer",
                sent.receiver,
                state,
                detail,
                lambda session: messages.record_answer(session, sent.id, answered),
            )


async def _about_task(relay: Relay, caller: Caller, team: str, address: TeamAddress, call: Call, method: str) -> object:
    """GetTask and CancelTask, for whoever began the task; to others it does not exist."""
    task = call.params.get("id")
    if not isinstance(task, str) or not task:
        raise Refused("bad_request", "params.id must be a task's id.")
    await _own(relay, caller, team, task=task)
    params: dict[str, Any] = {"id": task}
    if isinstance(length := call.params.get("historyLength"), int):
        params["historyLength"] = length
    body = {"jsonrpc": "2.0", "id": relay.door.new_id(), "method": method, "params": params}
    if method == "CancelTask":
        await relay.door.record(caller, "message.cancel", team, "allowed", {"task": task[:120]})
    return await _ask(relay, caller, team, address, body, timedelta(seconds=CARD_SECONDS * 2))


async def _ask(
    relay: Relay, caller: Caller, team: str, address: TeamAddress, body: dict[str, Any], timeout: timedelta
) -> object:
    """The result in the team's answer. `Refused` if there is no answer, `RpcError` if the answer is an error."""
    headers = {
        "Authorization": f"Bearer {address.inbound_token}",
        "A2A-Version": a2a_message.VERSION,
        "X-Elf-Caller": caller.address,
    }
    answer = await _fetch(relay, "POST", team, f"{address.base_url}/a2a", timeout, headers, body)
    if isinstance(error := answer.get("error"), dict):
        told = cast("dict[str, Any]", error)
        code = told.get("code")
        text = str(told.get("message", "no reason given"))[:500]
        raise RpcError(code if isinstance(code, int) else jsonrpc.INTERNAL_ERROR, f"The team {team} says: {text}")
    return answer.get("result")


async def _fetch(
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
                        raise Refused(
                            "upstream_failed", f"The team {team} answered with too much; nothing of it was used."
                        )
    except (TimeoutError, httpx.TimeoutException) as error:
        raise Refused("timeout", f"The team {team} did not answer in {seconds:.0f} s; set a later deadline.") from error
    except httpx.HTTPError as error:
        raise Refused(
            "upstream_failed", f"The team {team} cannot be reached now; it is restarted by itself, try again shortly."
        ) from error
    if response.status_code != 200:
        raise Refused("upstream_failed", f"The team {team} answered with HTTP {response.status_code}; see its log.")
    try:
        answer = from_json(content)
    except ValueError as error:
        raise Refused("upstream_failed", f"The team {team} answered with something that is not JSON.") from error
    if not isinstance(answer, dict):
        raise Refused("upstream_failed", f"The team {team} answered with something that is not an object.")
    return cast("dict[str, Any]", answer)


async def _card(relay: Relay, team: str) -> dict[str, Any]:
    address = await _address(relay, team)
    url = f"{address.base_url}/.well-known/agent-card.json"
    card = await _fetch(relay, "GET", team, url, timedelta(seconds=CARD_SECONDS))
    return a2a_message.public_card(card, f"{relay.public_url}/a2a/{team}")


async def _address(relay: Relay, team: str) -> TeamAddress:
    address = await to_thread.run_sync(relay.address_of, team) if _TEAM.fullmatch(team) else None
    if address is None:
        raise Refused("not_found", f"No team {team[:40]!r} is deployed; './elf status' lists those that are.")
    return address


async def _check_owner(relay: Relay, caller: Caller, team: str, outgoing: Outgoing) -> None:
    """A task or context is continued only by those who are in it."""
    if outgoing.task is not None:
        await _own(relay, caller, team, task=outgoing.task)
    elif outgoing.context is not None:
        owners = await relay.door.read(lambda session: messages.senders_of(session, team, context=outgoing.context))
        if owners and _scope(caller) not in owners:
            raise Refused("bad_request", "That context is not yours; leave contextId out.")


async def _own(relay: Relay, caller: Caller, team: str, task: str) -> None:
    owners = await relay.door.read(lambda session: messages.senders_of(session, team, task=task))
    if _scope(caller) not in owners:
        raise RpcError(a2a_message.TASK_NOT_FOUND, "There is no such task of yours.")


async def _parent(relay: Relay, caller: Caller, correlation: str) -> Chain | None:
    if caller.kind != "member":
        return None

    def query(session: Session) -> Chain | None:
        return messages.chain_of(session, caller.team, correlation)

    return await relay.door.read(query)


def _correlation(outgoing: Outgoing, request: Request, relay: Relay) -> str:
    if outgoing.envelope is not None:
        return outgoing.envelope.correlation_id
    run = request.headers.get("x-elf-run", "")
    return run if _RUN.fullmatch(run) else relay.door.new_id()


def _scope(caller: Caller) -> str:
    return f"team:{caller.team}" if caller.kind == "member" else caller.address


def _sha256(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode())
