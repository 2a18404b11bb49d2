"""Messages between teams, as the gateway carried them: for reading afterwards, for whose task is whose, and against loops."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from memory import usage
from memory.gateway_tables import MessageRow

MAX_TEXT = 20_000
#: Of a task's or context's id.
MAX_ID = 120
#: The state of a message whose deadline passed before its answer came; an answer that came after it is `late`.
OVERDUE, LATE = "deadline", "late"


@dataclass(frozen=True)
class Sent:
    """A message as it leaves. `visited` are the teams of its chain, the receiver last."""

    id: str
    at: datetime
    correlation_id: str
    sender: str
    sender_scope: str
    receiver: str
    kind: str
    hop: int
    visited: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Answered:
    """What came back. `state` is the A2A task state, `message`, or how it failed."""

    at: datetime
    state: str
    text: str
    task: str | None = None
    context: str | None = None


@dataclass(frozen=True)
class Carried:
    """A message as it was carried, for reading. `answer` is None while it is under way; `overdue`: its deadline has passed."""

    sent: Sent
    answer: Answered | None
    overdue: bool = False


@dataclass(frozen=True)
class Chain:
    """How a team came to be at work: the hop and the teams of the message that it works on."""

    hop: int
    visited: tuple[str, ...]


@dataclass(frozen=True)
class Business:
    """Everything that goes by one correlation id: what it has cost in all teams, and how many messages it is."""

    correlation_id: str
    usd_micro: int
    messages: int


def record_sent(session: Session, message: Sent) -> None:
    fields = {**vars(message), "visited": " ".join(message.visited), "text": message.text[:MAX_TEXT]}
    session.add(MessageRow(**fields))
    session.flush()


def record_answer(session: Session, message_id: str, answer: Answered) -> None:
    """Adds what came back. `LookupError` if no such message was sent."""
    row = session.get(MessageRow, message_id)
    if row is None:
        raise LookupError(f"no message {message_id} was sent")
    row.replied_at, row.state, row.reply = answer.at, answer.state, answer.text[:MAX_TEXT]
    row.task, row.context = answer.task, answer.context
    session.flush()


def record_task(session: Session, message_id: str, task: str, context: str | None) -> None:
    """The task that the message became, while it is under way: whoever sent it may ask for it from now on."""
    session.execute(update(MessageRow).where(MessageRow.id == message_id).values(task=task, context=context))


def record_overdue(session: Session, message_id: str) -> None:
    """The deadline has passed and the team is still at work: it has not answered, and is still on its chain."""
    session.execute(
        update(MessageRow).where(MessageRow.id == message_id, MessageRow.replied_at.is_(None)).values(state=OVERDUE)
    )


def business(session: Session, correlation_id: str) -> Business:
    """What one piece of business has come to."""
    count = session.scalar(select(func.count()).where(MessageRow.correlation_id == correlation_id))
    return Business(correlation_id, usage.committed_by_run(session, correlation_id), count or 0)


def chain_of(session: Session, team: str, correlation_id: str) -> Chain | None:
    """The longest chain the team is at work on: by this correlation id, or by any message it has not answered yet.

    The second is what a team cannot escape by inventing a fresh id.
    """
    query = (
        select(MessageRow.hop, MessageRow.visited)
        .where(
            MessageRow.receiver == team,
            (MessageRow.correlation_id == correlation_id) | MessageRow.replied_at.is_(None),
        )
        .order_by(MessageRow.hop.desc())
        .limit(1)
    )
    found = session.execute(query).first()
    return Chain(found.hop, tuple(found.visited.split())) if found else None


def senders_of(session: Session, receiver: str, task: str | None = None, context: str | None = None) -> set[str]:
    """The scopes that began or continued this task or context of the receiver; empty if nobody did."""
    query = select(MessageRow.sender_scope).where(MessageRow.receiver == receiver)
    query = query.where(MessageRow.task == task) if task is not None else query.where(MessageRow.context == context)
    return set(session.scalars(query.distinct()))


def senders_in(session: Session, correlation_id: str) -> set[str]:
    """Who has sent in this piece of business, by address."""
    query = select(MessageRow.sender).where(MessageRow.correlation_id == correlation_id)
    return set(session.scalars(query.distinct()))


def tasks_of(session: Session, receiver: str, scope: str) -> dict[str, bool]:
    """The receiver's tasks that this scope began or continued, and whether the answer to each is late."""
    query = select(MessageRow.task, MessageRow.state).where(
        MessageRow.receiver == receiver, MessageRow.sender_scope == scope, MessageRow.task.is_not(None)
    )
    return {task: state in (OVERDUE, LATE) for task, state in session.execute(query.order_by(MessageRow.at)) if task}


def is_late(session: Session, receiver: str, task: str) -> bool:
    """Whether what this task was last asked came too late, or is due since its deadline: then its answer is void."""
    query = select(MessageRow.state).where(MessageRow.receiver == receiver, MessageRow.task == task)
    return session.scalars(query.order_by(MessageRow.at.desc()).limit(1)).first() in (OVERDUE, LATE)


def close_unanswered(session: Session, now: datetime) -> None:
    """Marks messages that were under way when the gateway stopped as lost. Called once, before it serves."""
    session.execute(
        update(MessageRow).where(MessageRow.replied_at.is_(None)).values(replied_at=now, state="lost", reply="")
    )


def latest(
    session: Session,
    team: str | None = None,
    most: int = 100,
    *,
    correlation: str | None = None,
    since: datetime | None = None,
) -> list[Carried]:
    """The newest messages, newest first.

    Of one team: those it received and those its members sent; of one piece of business; `since`: those that were sent or answered from
    then on, and those that are under way.
    """
    query = select(MessageRow).order_by(MessageRow.at.desc()).limit(most)
    if team is not None:
        query = query.where((MessageRow.receiver == team) | (MessageRow.sender_scope == f"team:{team}"))
    if correlation is not None:
        query = query.where(MessageRow.correlation_id == correlation)
    if since is not None:
        query = query.where(
            (MessageRow.at >= since) | (MessageRow.replied_at >= since) | MessageRow.replied_at.is_(None)
        )
    return [_carried(row) for row in session.scalars(query)]


def conversation(session: Session, sender: str, receiver: str, prefix: str, most: int) -> list[Carried]:
    """The newest messages of one sender to one receiver whose correlation id begins so, newest first."""
    query = select(MessageRow).where(
        MessageRow.receiver == receiver,
        MessageRow.sender == sender,
        MessageRow.correlation_id.startswith(prefix, autoescape=True),
    )
    return [_carried(row) for row in session.scalars(query.order_by(MessageRow.at.desc()).limit(most))]


def _carried(row: MessageRow) -> Carried:
    sent = Sent(
        id=row.id,
        at=row.at,
        correlation_id=row.correlation_id,
        sender=row.sender,
        sender_scope=row.sender_scope,
        receiver=row.receiver,
        kind=row.kind,
        hop=row.hop,
        visited=tuple(row.visited.split()),
        text=row.text,
    )
    if row.replied_at is None:
        return Carried(sent, None, overdue=row.state == OVERDUE)
    return Carried(sent, Answered(row.replied_at, row.state or "lost", row.reply or "", row.task, row.context))
