"""Messages between teams: POST /a2a/{team} relays A2A 1.0 JSON-RPC to the team's manager; its card is beside it.

Only managers, a person and the kernel send; every message and answer is recorded. The chain a message belongs to (hop, teams
visited) is the gateway's own knowledge, not the sender's word.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from a2a.types.a2a_pb2 import GetTaskRequest
from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy.orm import Session

from mcp_servers.gateway import a2a_message, jsonrpc
from mcp_servers.gateway.a2a_delivery import Passage, Relay, ask, deliver, digest_of, fetch
from mcp_servers.gateway.a2a_delivery import TeamAddress as TeamAddress
from mcp_servers.gateway.a2a_listing import list_tasks
from mcp_servers.gateway.a2a_message import Method, NotSent, Outgoing
from mcp_servers.gateway.a2a_stream import deliver_stream, subscribe
from mcp_servers.gateway.call_headers import RUN
from mcp_servers.gateway.door import sha256
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.jsonrpc import Call, RpcError
from mcp_servers.gateway.refusals import Refused
from memory import messages
from memory.messages import MAX_ID, Chain, Sent

CARD_SECONDS = 5.0
CARD_MAX_AGE_S = 60

_TEAM = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


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
        body = await request.body()
        try:
            call = _read(request, body)
        except RpcError as error:
            detail = {"method": "none", "why": error.message, "body_sha256": sha256(body)}
            try:
                await relay.door.record(caller, "message.send", _subject(team), "refused", detail)
            except Refused as refused:
                return jsonrpc.refusal(error.call_id, refused)
            return _error(error.call_id, error.code, error.message)
        try:
            answer = await _handle(relay, caller, team, call, request)
            return answer if isinstance(answer, Response) else jsonrpc.result(call, answer)
        except Refused as refused:
            return jsonrpc.refusal(call.id, refused)
        except RpcError as error:
            return _error(call.id, error.code, error.message)

    @router.get("/a2a/{team}/.well-known/agent-card.json")
    async def card(team: str, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        try:
            await relay.door.identify(request.headers.get("authorization"))
            card = await _card(relay, team)
            # A card changes with its deployment; who asks often is answered by the tag.
            tags = {"Cache-Control": f"private, max-age={CARD_MAX_AGE_S}", "ETag": f'"{digest_of(card)[:32]}"'}
            if request.headers.get("if-none-match") == tags["ETag"]:
                return Response(status_code=304, headers=tags)
            return JSONResponse(card, headers=tags)
        except Refused as refused:
            if refused.code == "unauthenticated":
                return jsonrpc.unauthenticated(refused)
            return JSONResponse({"error": refused.message}, 404 if refused.code == "not_found" else 502)

    return router


def _read(request: Request, body: bytes) -> Call:
    """The call in a body. Raises `RpcError`."""
    if not request.headers.get("content-type", "").lower().startswith("application/json"):
        text = "Send the request as JSON, with 'Content-Type: application/json'."
        raise RpcError(a2a_message.CONTENT_NOT_SUPPORTED, text)
    call = jsonrpc.parse(body)
    if request.headers.get("a2a-version", "") != a2a_message.VERSION:
        text = f"Send the header A2A-Version: {a2a_message.VERSION}; no other version is spoken here."
        raise RpcError(a2a_message.VERSION_NOT_SUPPORTED, text, call.id)
    return call


async def _handle(relay: Relay, caller: Caller, team: str, call: Call, request: Request) -> object:
    method = a2a_message.METHODS.get(call.method)
    try:
        if method is None:
            raise _unknown(call)
        relay.door.grants.check_message(caller, team)
        address = await _address(relay, team)
        if method == "ListTasks":
            own = await relay.door.read(lambda session: messages.tasks_of(session, team, _scope(caller)))
            return await list_tasks(relay, caller, team, address, call.params, own)
        if method in ("SendMessage", "SendStreamingMessage"):
            return await _send(relay, caller, team, address, call, request, method)
        return await _about_task(relay, caller, team, address, call, method)
    except NotSent as error:
        detail = {"method": method or "none", "why": error.message, "params_sha256": digest_of(call.params)}
        await relay.door.record(caller, "message.send", _subject(team), "refused", detail)
        raise
    except Refused as refused:
        # What fails on the way is recorded as the message's answer; here is what was not sent at all.
        if refused.code not in ("upstream_failed", "timeout"):
            detail = {"method": method, "why": refused.message, "params_sha256": digest_of(call.params)}
            await relay.door.record(caller, "message.send", _subject(team), "refused", detail)
        raise


def _unknown(call: Call) -> NotSent:
    if "pushnotificationconfig" in call.method.lower():
        return NotSent(a2a_message.PUSH_NOT_SUPPORTED, "Push notifications are not supported; ask with GetTask.")
    return NotSent(jsonrpc.METHOD_NOT_FOUND, f"{call.method[:60]!r} does not pass here; messages and tasks do.")


async def _send(
    relay: Relay, caller: Caller, team: str, address: TeamAddress, call: Call, request: Request, method: Method
) -> dict[str, Any] | Response:
    now = relay.door.clock()
    outgoing = a2a_message.read_outgoing(call.params, caller)
    timeout = a2a_message.timeout_of(outgoing.envelope, now)
    await _check_owner(relay, caller, team, outgoing)
    if caller.kind == "member":
        relay.rates.take(caller.team, "message.send", a2a_message.MAX_PER_MINUTE, now)
    correlation = _correlation(outgoing, request, relay)
    if caller.kind == "member":
        correlation = relay.door.under_way.business_of(caller.team, correlation)
    asked_by = await relay.door.read(lambda session: messages.senders_in(session, correlation))
    a2a_message.check_wish(outgoing, caller, asked_by)
    chain = a2a_message.next_hop(team, caller, await _parent(relay, caller, correlation))
    limit = relay.door.allowance.together()
    outgoing = a2a_message.booked(outgoing, correlation)
    sent = Sent(
        id=relay.door.new_id(),
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
    facts = {"message": sent.id, "hop": chain.hop, "kind": outgoing.kind, "correlation_id": correlation}
    detail = facts | {"visited": list(chain.visited), "params_sha256": digest_of(outgoing.params)}

    def begin(session: Session) -> None:
        # Looked at where it is written down, so that no two messages take the last place.
        if caller.kind == "member":
            a2a_message.check_business(messages.business(session, correlation), limit)
        messages.record_sent(session, sent)

    await relay.door.record(caller, "message.send", team, "allowed", detail, begin)
    stamp = {"sender": caller.address, "hop": chain.hop, "visited": list(chain.visited), "correlationId": correlation}
    body = {"jsonrpc": "2.0", "id": sent.id, "method": method, "params": a2a_message.stamped(outgoing, stamp)}
    passage = Passage(caller, sent, address, body, now + timeout)
    if method == "SendStreamingMessage":
        return await deliver_stream(relay, passage, timeout, call.id)
    return await deliver(relay, passage, timeout)


async def _about_task(
    relay: Relay, caller: Caller, team: str, address: TeamAddress, call: Call, method: Method
) -> object:
    """GetTask, CancelTask and SubscribeToTask, for whoever began the task; to others it does not exist."""
    asked = a2a_message.read_params(GetTaskRequest, call.params)
    task = asked.id
    if not task:
        raise Refused("bad_request", "params.id must be a task's id.")
    await _own(relay, caller, team, task=task)
    late = await relay.door.read(lambda session: messages.is_late(session, team, task))
    if method == "SubscribeToTask":
        if late:
            raise Refused(
                "timeout", "The answer to that is late, and void whenever it comes. Send again, with more time."
            )
        return await subscribe(relay, caller, team, address, task, call.id)
    if method == "GetTask" and late:
        return a2a_message.late_task(task, team, None)["task"]
    params: dict[str, Any] = {"id": task}
    if asked.HasField("history_length"):
        params["historyLength"] = asked.history_length
    body = {"jsonrpc": "2.0", "id": relay.door.new_id(), "method": method, "params": params}
    if method == "CancelTask":
        await relay.door.record(caller, "message.cancel", team, "allowed", {"task": task[:MAX_ID]})
    return await ask(relay, caller, team, address, body, timedelta(seconds=CARD_SECONDS * 2))


async def _card(relay: Relay, team: str) -> dict[str, Any]:
    address = await _address(relay, team)
    url = f"{address.base_url}/.well-known/agent-card.json"
    card = await fetch(relay, "GET", team, url, timedelta(seconds=CARD_SECONDS))
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
        raise NotSent(a2a_message.TASK_NOT_FOUND, "There is no such task of yours.")


async def _parent(relay: Relay, caller: Caller, correlation: str) -> Chain | None:
    """The chain a team works on. Others begin chains of their own."""
    if caller.kind != "member":
        return None
    return await relay.door.read(lambda session: messages.chain_of(session, caller.team, correlation))


def _error(call_id: str | int | None, code: int, message: str) -> Response:
    return jsonrpc.error(call_id, code, message, data=a2a_message.error_info(code))


def _correlation(outgoing: Outgoing, request: Request, relay: Relay) -> str:
    if outgoing.envelope is not None:
        return outgoing.envelope.correlation_id
    run = request.headers.get("x-elf-run", "")
    return run if RUN.fullmatch(run) else relay.door.new_id()


def _subject(team: str) -> str:
    """What the ledger calls the receiver: its name, if it is one. A database may not even be able to hold what is none."""
    return team if len(team) <= 40 and _TEAM.fullmatch(team) else "no name of a team"


def _scope(caller: Caller) -> str:
    return f"team:{caller.team}" if caller.kind == "member" else caller.address
