"""What a message between teams must look like, and what its answer says. Pure: no I/O.

What is forwarded is what was parsed and checked, never the bytes that came.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar, cast

from a2a.types.a2a_pb2 import Role, SendMessageRequest
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message as ProtoMessage

from mcp_servers.gateway import jsonrpc
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.jsonrpc import RpcError
from mcp_servers.gateway.refusals import Refused
from memory import budgets
from memory.messages import MAX_ID, MAX_TEXT, Business, Chain
from teams.messages import Envelope, MessageRefused, TeamCreationRequest, parse_envelope

VERSION = "1.0"
MAX_HOPS = 4
#: How often one team may stand in a chain: it may be asked back once.
MAX_VISITS = 2
#: Messages that one message may lead to.
MAX_MESSAGES = 100
#: Messages that one team may send in a minute: what a team does after it has answered belongs to no chain.
MAX_PER_MINUTE = 60
DEFAULT_TIMEOUT = timedelta(seconds=120)
MAX_TIMEOUT = timedelta(minutes=15)
#: How long an answer that is late is still waited for, to be written down.
LATE_GRACE = timedelta(minutes=10)

Asked = TypeVar("Asked", bound=ProtoMessage)

Method = Literal["SendMessage", "SendStreamingMessage", "GetTask", "ListTasks", "CancelTask", "SubscribeToTask"]
#: Every method that passes, by its names in both versions of the protocol.
METHODS: Mapping[str, Method] = {
    "SendMessage": "SendMessage",
    "message/send": "SendMessage",
    "SendStreamingMessage": "SendStreamingMessage",
    "message/stream": "SendStreamingMessage",
    "GetTask": "GetTask",
    "tasks/get": "GetTask",
    "ListTasks": "ListTasks",
    "tasks/list": "ListTasks",
    "CancelTask": "CancelTask",
    "tasks/cancel": "CancelTask",
    "SubscribeToTask": "SubscribeToTask",
    "tasks/resubscribe": "SubscribeToTask",
}
#: A2A's own error codes.
TASK_NOT_FOUND, PUSH_NOT_SUPPORTED, UNSUPPORTED, CONTENT_NOT_SUPPORTED, INVALID_ANSWER, VERSION_NOT_SUPPORTED = (
    -32001,
    -32003,
    -32004,
    -32005,
    -32006,
    -32009,
)
#: The reasons that belong to them, for clients that go by words.
_REASONS: Mapping[int, str] = {
    TASK_NOT_FOUND: "TASK_NOT_FOUND",
    PUSH_NOT_SUPPORTED: "PUSH_NOTIFICATION_NOT_SUPPORTED",
    UNSUPPORTED: "UNSUPPORTED_OPERATION",
    CONTENT_NOT_SUPPORTED: "CONTENT_TYPE_NOT_SUPPORTED",
    INVALID_ANSWER: "INVALID_AGENT_RESPONSE",
    VERSION_NOT_SUPPORTED: "VERSION_NOT_SUPPORTED",
}
#: Kinds of message that only speak for the kernel, or for a person. They grant nothing, but they must not be forged.
_ONLY_FROM: Mapping[str, tuple[str, ...]] = {
    "change_event": ("kernel",),
    "incident": ("kernel",),
    "person_message": ("person",),
}


class NotSent(RpcError):
    """An error by which the gateway itself refuses, and that is no team's answer."""


@dataclass(frozen=True)
class Outgoing:
    """A checked message. `params` are the JSON-RPC params without the gateway's metadata."""

    params: dict[str, Any]
    text: str
    envelope: Envelope | None
    task: str | None
    context: str | None

    @property
    def kind(self) -> str:
        return self.envelope.kind if self.envelope else "text"


@dataclass(frozen=True)
class Incoming:
    """What a team's answer says: its state (`message` for a plain one), words and A2A ids."""

    state: str
    text: str
    task: str | None
    context: str | None


def read_outgoing(params: Mapping[str, Any], caller: Caller) -> Outgoing:
    """The message in SendMessage's params: text parts and at most one data part that is a valid envelope. Raises `Refused`."""
    request = SendMessageRequest()
    try:
        ParseDict(dict(params), request, ignore_unknown_fields=True)
    except ParseError as error:
        raise Refused("bad_request", "The params are not those of A2A 1.0's SendMessage.", param="params") from error
    message = request.message
    if not message.message_id or message.role != Role.ROLE_USER:
        raise Refused("bad_request", "A message needs a messageId and the role ROLE_USER.")
    kinds = [part.WhichOneof("content") for part in message.parts]
    if any(kind in ("raw", "url") for kind in kinds):
        raise NotSent(CONTENT_NOT_SUPPORTED, "Files and links do not pass; send text, and data that is an envelope.")
    if any(kind not in ("text", "data") for kind in kinds) or kinds.count("data") > 1 or "text" not in kinds:
        raise Refused("bad_request", "A message has a text part and at most one data part.")
    text = "\n".join(part.text for part in message.parts if part.WhichOneof("content") == "text")
    if len(text) > MAX_TEXT:
        raise Refused("bad_request", f"The text has {len(text)} characters; {MAX_TEXT} are allowed. Send less.")
    if request.configuration.HasField("task_push_notification_config"):
        raise Refused("bad_request", "Push notifications are not supported; wait for the answer, or ask with GetTask.")
    # An answer is waited for, whatever the sender prefers: while a message is unanswered, what its receiver spends and sends is
    # booked to it. Who does not want to wait asks for a stream.
    request.configuration.ClearField("return_immediately")
    message.ClearField("reference_task_ids")
    canonical = MessageToDict(request)
    envelope = _envelope(canonical["message"]["parts"], caller)
    return Outgoing(canonical, text, envelope, message.task_id or None, message.context_id or None)


def read_params(kind: type[Asked], params: Mapping[str, Any]) -> Asked:
    """Other methods' params, by whichever of a field's two names they come. Raises `NotSent`."""
    asked = kind()
    try:
        ParseDict(dict(params), asked, ignore_unknown_fields=True)
    except ParseError as error:
        raise NotSent(jsonrpc.INVALID_PARAMS, f"The params are not those of A2A 1.0's {kind.__name__}.") from error
    return asked


def next_hop(receiver: str, caller: Caller, parent: Chain | None) -> Chain:
    """The chain with this message in it. Raises `Refused` when it has become too long to be anything but a loop."""
    if parent is None:
        start = (caller.team,) if caller.kind == "member" else ()
        return Chain(1, (*start, receiver))
    chain = Chain(parent.hop + 1, (*parent.visited, receiver))
    if chain.hop > MAX_HOPS:
        way = " -> ".join(chain.visited)
        raise Refused(
            "not_allowed",
            f"This would be hop {chain.hop} of a chain of messages ({way}); {MAX_HOPS} are allowed. Answer instead.",
        )
    if chain.visited.count(receiver) > MAX_VISITS:
        way = " -> ".join(chain.visited)
        raise Refused("not_allowed", f"{receiver} is at work on this already ({way}). Answer with what you have.")
    return chain


def check_wish(outgoing: Outgoing, caller: Caller, senders: Collection[str]) -> None:
    """A team asks for a new team in its own name, for itself or for one of the `senders` of this business. Raises `Refused`.

    Whose wish a team serves is written into its pull request and the audit trail.
    """
    wish = outgoing.envelope.payload if outgoing.envelope else None
    if caller.kind != "member" or not isinstance(wish, TeamCreationRequest):
        return
    if wish.requesting_team != caller.team or wish.requester not in {caller.address, *senders}:
        raise Refused(
            "not_allowed",
            f"{caller.address} may not ask for a team in the name of {wish.requester[:80]} of {wish.requesting_team[:40]}: "
            "name your own team, and yourself or whoever asked you.",
        )


def check_business(business: Business, limit_usd_micro: int | None) -> None:
    """Raises `Refused` when what one message led to has cost all it may, or has become too many messages."""
    if limit_usd_micro is not None and business.usd_micro >= limit_usd_micro:
        raise Refused(
            "over_budget",
            f"Everything that {business.correlation_id} led to has cost ${budgets.usd(business.usd_micro)}, of "
            f"${budgets.usd(limit_usd_micro)} (correlation_usd in policies/budgets.yaml). Answer with what you have.",
        )
    if business.messages >= MAX_MESSAGES:
        raise Refused(
            "not_allowed",
            f"{business.correlation_id} has led to {business.messages} messages, and no more are carried for it. Answer "
            "with what you have.",
        )


def timeout_of(envelope: Envelope | None, now: datetime) -> timedelta:
    """How long the receiver has. Raises `Refused` if the deadline has passed."""
    if envelope is None or envelope.deadline is None:
        return DEFAULT_TIMEOUT
    left = envelope.deadline - now
    if left <= timedelta(0):
        raise Refused("bad_request", f"The deadline {envelope.deadline.isoformat()} has passed; set a later one.")
    return min(left, MAX_TIMEOUT)


def booked(outgoing: Outgoing, correlation_id: str) -> Outgoing:
    """The message under this correlation id, whatever its sender called it."""
    if outgoing.envelope is None or outgoing.envelope.correlation_id == correlation_id:
        return outgoing
    envelope = outgoing.envelope.model_copy(update={"correlation_id": correlation_id})
    message = outgoing.params["message"]
    parts = [part | {"data": envelope.to_data()} if "data" in part else part for part in message["parts"]]
    return replace(outgoing, params=outgoing.params | {"message": message | {"parts": parts}}, envelope=envelope)


def late_task(message_id: str, team: str, deadline: datetime | None, context: str | None = None) -> dict[str, Any]:
    """What the sender gets when the deadline passes without an answer: a task that failed, with the reason for its code."""
    text, data = _late(message_id, team, deadline)
    artifact = {"artifactId": message_id, "name": "deadline", "parts": [{"text": text}, {"data": data}]}
    told = {"id": message_id, "contextId": context or message_id, "status": {"state": "TASK_STATE_FAILED"}}
    return {"task": told | {"artifacts": [artifact]}}


def late_error(message_id: str, team: str, deadline: datetime) -> dict[str, Any]:
    """The same as the last event of a stream."""
    text, data = _late(message_id, team, deadline)
    return {"code": jsonrpc.REFUSED["timeout"], "message": text, "data": data}


def stamped(outgoing: Outgoing, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The params with the gateway's own facts under `message.metadata.elf`; what the sender wrote there is replaced."""
    message = outgoing.params["message"]
    return outgoing.params | {"message": message | {"metadata": message.get("metadata", {}) | {"elf": dict(facts)}}}


def read_incoming(result: object) -> Incoming:
    """What a SendMessage result says. `ValueError` if it is none."""
    if isinstance(result, dict):
        given = cast("dict[str, Any]", result)
        task, message = given.get("task"), given.get("message")
        if isinstance(task, dict):
            return _task(cast("dict[str, Any]", task))
        if isinstance(message, dict):
            answer = cast("dict[str, Any]", message)
            return Incoming("message", _texts([answer]), _id(answer.get("taskId")), _id(answer.get("contextId")))
    raise ValueError("neither a task nor a message")


def error_info(code: int) -> list[dict[str, Any]] | None:
    """A2A's own errors with their reason, as google.rpc.ErrorInfo; None for other codes."""
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    return [{"@type": kind, "reason": _REASONS[code], "domain": "a2a-protocol.org"}] if code in _REASONS else None


def public_card(card: Mapping[str, Any], url: str) -> dict[str, Any]:
    """The team's card as others see it: reached at `url` only, without what does not pass the gateway."""
    offered = card.get("capabilities")
    streams = isinstance(offered, dict) and cast("dict[str, Any]", offered).get("streaming") is True
    kept = {key: value for key, value in card.items() if key not in ("url", "additionalInterfaces", "signatures")}
    interface = {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": VERSION}
    return kept | {
        "supportedInterfaces": [interface],
        "capabilities": {"streaming": streams, "pushNotifications": False},
    }


def _envelope(parts: list[dict[str, Any]], caller: Caller) -> Envelope | None:
    """The data part's envelope, put back into its part in canonical form."""
    for part in parts:
        if "data" in part:
            try:
                envelope = parse_envelope(part["data"])
            except MessageRefused as error:
                raise Refused("bad_request", str(error), param="message.parts") from error
            if caller.kind not in _ONLY_FROM.get(envelope.kind, (caller.kind,)):
                raise Refused(
                    "not_allowed", f"{caller.address} may not send a {envelope.kind}: it would speak for somebody else."
                )
            part["data"] = envelope.to_data()
            return envelope
    return None


def _late(message_id: str, team: str, deadline: datetime | None) -> tuple[str, dict[str, Any]]:
    by = f"by {deadline.isoformat(timespec='seconds')}" if deadline else "in time"
    text = f"The team {team} did not answer {by}; an answer that comes later is void."
    return text, {"reason": "deadline", "message": message_id} | (
        {"deadline": deadline.isoformat()} if deadline else {}
    )


def _id(value: object) -> str | None:
    if value is None or (isinstance(value, str) and len(value) <= MAX_ID):
        return value
    raise ValueError(f"an id that is not text of {MAX_ID} characters at the most")


def _task(task: Mapping[str, Any]) -> Incoming:
    status = task.get("status")
    said = cast("dict[str, Any]", status) if isinstance(status, dict) else {}
    state = str(said.get("state", "TASK_STATE_UNSPECIFIED")).removeprefix("TASK_STATE_").lower()
    sources = [*_dicts(task.get("artifacts")), *_dicts([said.get("message")])]
    return Incoming(state[:40], _texts(sources), _id(task.get("id")), _id(task.get("contextId")))


def _texts(holders: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(
        text for holder in holders for part in _dicts(holder.get("parts")) if isinstance(text := part.get("text"), str)
    )


def _dicts(value: object) -> list[dict[str, Any]]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
