"""What the gateway keeps: money held and spent, calls made, messages carried.

Money is in integer micro-dollars (1 USD = 1,000,000). Days are UTC, as `2026-11-20`.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from memory.tables import Base


class BudgetRow(Base):
    """What one scope has committed in one period: money spent and money held for calls under way."""

    __tablename__ = "budgets"

    #: `company`, `team:<team>`, `member:<team>/<member>` or `run:<team>/<hash>`.
    scope: Mapped[str] = mapped_column(String(120), primary_key=True)
    #: A UTC day (`2026-11-20`), a month (`2026-11`), or `run`.
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    committed_usd_micro: Mapped[int] = mapped_column(BigInteger, default=0)


class ReservationRow(Base):
    """Money held for one model call, in every scope it falls under."""

    __tablename__ = "reservations"
    __table_args__ = (Index("ix_reservations_open", "settled_at", "expires_at"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    team: Mapped[str] = mapped_column(String(40))
    member: Mapped[str] = mapped_column(String(40))
    day: Mapped[str] = mapped_column(String(10))
    model: Mapped[str] = mapped_column(String(120))
    purpose: Mapped[str] = mapped_column(String(40))
    run: Mapped[str] = mapped_column(String(120))
    usd_micro: Mapped[int] = mapped_column(BigInteger)
    reserved_at: Mapped[datetime]
    #: From here on the held money counts as spent.
    expires_at: Mapped[datetime]
    #: None while the call is under way.
    settled_at: Mapped[datetime | None]


class UsageRow(Base):
    """One model call as it ended, costed."""

    __tablename__ = "usage"
    __table_args__ = (Index("ix_usage_team_day", "team", "day"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    #: The day whose budget paid.
    day: Mapped[str] = mapped_column(String(10), index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    team: Mapped[str] = mapped_column(String(40))
    member: Mapped[str] = mapped_column(String(40))
    model: Mapped[str] = mapped_column(String(120))
    purpose: Mapped[str] = mapped_column(String(40))
    run: Mapped[str] = mapped_column(String(120), index=True)
    tokens_in: Mapped[int]
    tokens_out: Mapped[int]
    usd_micro: Mapped[int] = mapped_column(BigInteger)
    latency_ms: Mapped[int]
    #: `ok`, or how it went wrong: `rate_limit`, `quota`, `outage`, `unreachable`, `timeout`, `malformed`, `key_refused`,
    #: `no_such_model`, `not_accepted`, `too_long`, `broken`, `gone` (the caller went away); `unmetered` (answered, tokens unknown),
    #: `expired` (never came back).
    outcome: Mapped[str] = mapped_column(String(40))


class MessageRow(Base):
    """One message between teams (or from a person or the kernel), with what came back."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_receiver_task", "receiver", "task"),
        Index("ix_messages_correlation", "correlation_id", "receiver"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    correlation_id: Mapped[str] = mapped_column(String(120))
    #: `team/member`, `person:owner` or `kernel:<hand>`.
    sender: Mapped[str] = mapped_column(String(120))
    #: Who may ask about the task later: the sender's team, or the sender itself if it has none.
    sender_scope: Mapped[str] = mapped_column(String(120))
    receiver: Mapped[str] = mapped_column(String(40), index=True)
    kind: Mapped[str] = mapped_column(String(40))
    #: 1 for a message that no other message led to.
    hop: Mapped[int]
    #: The teams the chain went through, this receiver last, separated by spaces.
    visited: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    #: A2A ids of the receiver's task and context, once known.
    task: Mapped[str | None] = mapped_column(String(120))
    context: Mapped[str | None] = mapped_column(String(120), index=True)
    reply: Mapped[str | None] = mapped_column(Text)
    #: The A2A task state or `message`; `unreachable`, `timeout`, `error`. None while under way.
    state: Mapped[str | None] = mapped_column(String(40))
    replied_at: Mapped[datetime | None]
