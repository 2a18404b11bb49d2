"""The tables everything else hangs on: the audit ledger and the registry of teams.

Times are UTC and stored as ISO-8601 text with microseconds, so that both databases give back the very characters that were hashed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Integer, String, Text, TypeDecorator, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcTime(TypeDecorator[datetime]):
    """A UTC-aware datetime, kept as text that sorts by time."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else utc_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else datetime.fromisoformat(value)


def utc_text(moment: datetime) -> str:
    """`2026-11-20T10:00:00.000000+00:00`; `ValueError` for a time without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored; pass an aware datetime in UTC")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


class Base(DeclarativeBase):
    type_annotation_map = {datetime: UtcTime(), dict[str, Any]: JSON()}  # noqa: RUF012 (SQLAlchemy reads it as a class attribute)


class AuditRow(Base):
    """One act, chained to the one before it. Append-only by trigger."""

    __tablename__ = "audit"

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(120), index=True)
    action: Mapped[str] = mapped_column(String(80), index=True)
    subject: Mapped[str] = mapped_column(String(200), index=True)
    outcome: Mapped[str] = mapped_column(String(40))
    #: Canonical JSON, as hashed.
    detail: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)


class TeamRow(Base):
    """A team as main has it. Git is the source; this is its projection, replaced when main moves."""

    __tablename__ = "teams"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    zone: Mapped[str] = mapped_column(String(20))
    folder: Mapped[str] = mapped_column(String(40))
    placement: Mapped[str] = mapped_column(String(80), index=True)
    department: Mapped[str] = mapped_column(String(40), index=True)
    reports_to: Mapped[str] = mapped_column(String(40))
    framework: Mapped[str] = mapped_column(String(20))
    purpose: Mapped[str] = mapped_column(Text)
    spec: Mapped[dict[str, Any]]
    tree: Mapped[str] = mapped_column(String(40))
    commit: Mapped[str] = mapped_column("commit_sha", String(40))
    registered_at: Mapped[datetime]
    #: None while the team is in main.
    retired_at: Mapped[datetime | None]


class MemberRow(Base):
    __tablename__ = "members"
    __table_args__ = (UniqueConstraint("team", "name"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    team: Mapped[str] = mapped_column(ForeignKey("teams.name"), index=True)
    name: Mapped[str] = mapped_column(String(40))
    role: Mapped[str] = mapped_column(Text)
    is_manager: Mapped[bool]
    is_skeptic: Mapped[bool]
    skills: Mapped[str] = mapped_column(Text)
    tools: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(String(100))


class RelationshipRow(Base):
    """Who a team answers to. A team has one parent, by the primary key; the executive team alone has none."""

    __tablename__ = "relationships"

    child: Mapped[str] = mapped_column(ForeignKey("teams.name"), primary_key=True)
    parent: Mapped[str] = mapped_column(ForeignKey("teams.name"), index=True)
    #: The executive in the parent team who leads the child.
    lead: Mapped[str] = mapped_column(String(40))


class DeploymentRow(Base):
    """One start of one team's tree. Whether it is active is computed from these facts and its process."""

    __tablename__ = "deployments"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    team: Mapped[str] = mapped_column(String(40), index=True)
    tree: Mapped[str] = mapped_column(String(40))
    commit: Mapped[str] = mapped_column("commit_sha", String(40))
    started_at: Mapped[datetime]
    healthy_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    #: `stopped` (by us, no fault), `failed` (its health check said no) or `crashed` (its process ended by itself).
    ended_as: Mapped[str | None] = mapped_column(String(20))
    #: Why it ended or could not become healthy.
    reason: Mapped[str | None] = mapped_column(Text)
    #: Where it serves, `http://127.0.0.1:port` locally.
    address: Mapped[str | None] = mapped_column(String(200))
    #: What the gateway shows the team to be let in; the team knows only its hash.
    inbound_token: Mapped[str] = mapped_column(String(80))


class IncidentRow(Base):
    """A tree of a team that could not become healthy. Closed when main has another tree, or it became healthy after all."""

    __tablename__ = "incidents"
    __table_args__ = (UniqueConstraint("team", "tree"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    team: Mapped[str] = mapped_column(String(40), index=True)
    tree: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
