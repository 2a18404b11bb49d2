"""What the health monitor keeps: readings of the watched resources, and what people were told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Float, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from memory.tables import Base


class ReadingRow(Base):
    """One resource as it was found. Written when its level changes, and now and then between; the oldest go."""

    __tablename__ = "readings"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    resource: Mapped[str] = mapped_column(String(40), index=True)
    #: `ok`, `warning`, `critical` or `absent`.
    level: Mapped[str] = mapped_column(String(10))
    #: In the resource's own unit; None where there is nothing to measure.
    value: Mapped[float | None] = mapped_column(Float)
    text: Mapped[str] = mapped_column(Text)


class AlertRow(Base):
    """One cause for which people are told. There is one row a cause, however often it is seen."""

    __tablename__ = "alerts"

    cause: Mapped[str] = mapped_column(String(200), primary_key=True)
    level: Mapped[str] = mapped_column(String(10))
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime]
    #: When the cause was last there.
    seen_at: Mapped[datetime] = mapped_column(index=True)
    #: When a message of it was last begun, and what came of that: `sent`, `failed: …`, `nobody`. None: not yet.
    told_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(200))
    #: Set once it has been gone for long enough to be new when it comes again.
    cleared_at: Mapped[datetime | None]
    #: When a message that it is over was last begun; `outcome` then says what came of that one. None: not yet.
    over_told_at: Mapped[datetime | None]


class AlertMessageRow(Base):
    """One message that was sent, or tried. Counted for the limit an hour; the oldest go."""

    __tablename__ = "alert_messages"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    causes: Mapped[int]
    outcome: Mapped[str | None] = mapped_column(String(200))
