"""The tables behind `memory/changes.py`: facts about changes, never their state."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from memory.tables import Base


class IntentRow(Base):
    """That somebody asked for a change, written before anything is pushed. One key, one change."""

    __tablename__ = "change_intents"

    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    #: The team it is about.
    subject: Mapped[str] = mapped_column(String(60), index=True)
    #: `team/member` or `kernel:…`: who had it opened. Never approves.
    requester: Mapped[str] = mapped_column(String(120), index=True)
    #: Whose wish it serves.
    on_behalf_of: Mapped[str | None] = mapped_column(String(120))
    gap: Mapped[str] = mapped_column(Text)
    rationale: Mapped[str] = mapped_column(Text)
    branch: Mapped[str] = mapped_column(String(200), unique=True)
    #: What was asked for, complete: whoever repeats the key gets this, whatever they ask for the second time.
    payload: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    #: The pull request, once it is known to be open.
    number: Mapped[int | None] = mapped_column(Integer, unique=True)


class SlotRow(Base):
    """A place among the changes a window has room for: reserved with the intent, consumed by the merge, or released."""

    __tablename__ = "rate_slots"
    __table_args__ = (Index("ix_rate_slots_scope_state", "scope", "state"),)

    #: The intent's key, or `change:<number>` for a pull request without one.
    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    #: The kind of change.
    scope: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(20))
    reserved_at: Mapped[datetime]
    #: When it was consumed or released.
    settled_at: Mapped[datetime | None]
    number: Mapped[int | None] = mapped_column(Integer, index=True)
    #: Who asked for the change; None in rows from before this was written down.
    requester: Mapped[str | None] = mapped_column(String(120))


class ScopeRow(Base):
    """What two reservations of one scope fight over, so that one waits for the other."""

    __tablename__ = "rate_scopes"

    scope: Mapped[str] = mapped_column(String(40), primary_key=True)
    attempts: Mapped[int] = mapped_column(Integer, default=0)


class VerdictRow(Base):
    """What the gate said of one head on one base under one law. A new row only when one of them or the answer changed."""

    __tablename__ = "verdicts"
    __table_args__ = (Index("ix_verdicts_number_id", "number", "id"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    number: Mapped[int] = mapped_column(Integer)
    head: Mapped[str] = mapped_column(String(40))
    base: Mapped[str] = mapped_column(String(40))
    policy_tree: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(20))
    outcome: Mapped[str] = mapped_column(String(20))
    verdict: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    #: The facts it was judged by (`facts`), and the ledger's last row when they were read. None in rows from before these were kept.
    facts_sha: Mapped[str | None] = mapped_column(String(64))
    ledger_seq: Mapped[int | None] = mapped_column(Integer)


class FactsRow(Base):
    """The facts of a change's last verdict, by the hash of their text: what a replay under another law judges again."""

    __tablename__ = "facts"

    sha: Mapped[str] = mapped_column(String(64), primary_key=True)
    #: Canonical JSON, as hashed, compressed (zlib); and how many bytes that is.
    packed: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int] = mapped_column(Integer)


class ReplayRow(Base):
    """Which past decisions one law would turn, put in the place of another. Both are trees of `policies/`."""

    __tablename__ = "replays"

    before: Mapped[str] = mapped_column(String(40), primary_key=True)
    after: Mapped[str] = mapped_column(String(40), primary_key=True)
    result: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class ChangeEndRow(Base):
    """That a change was merged or closed, as the merge desk saw or did it."""

    __tablename__ = "change_ends"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    #: `merged` or `closed`
    end: Mapped[str] = mapped_column(String(10))
    kind: Mapped[str] = mapped_column(String(20))
    head: Mapped[str] = mapped_column(String(40))
    #: The merge commit; None for a closed change.
    commit: Mapped[str | None] = mapped_column("commit_sha", String(40))
    #: `zone/folder` and its tree after the merge, where the change was to one team; the tree is None if it went away.
    team_path: Mapped[str | None] = mapped_column(String(80), index=True)
    team_tree: Mapped[str | None] = mapped_column(String(40))
    at: Mapped[datetime]


class VerifiedTreeRow(Base):
    """A team's folder that was deployed and found healthy: what a rollback may return to."""

    __tablename__ = "verified_trees"
    __table_args__ = (UniqueConstraint("path", "tree"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    team: Mapped[str] = mapped_column(String(40), index=True)
    #: `zone/folder`
    path: Mapped[str] = mapped_column(String(80), index=True)
    tree: Mapped[str] = mapped_column(String(40))
    commit: Mapped[str] = mapped_column("commit_sha", String(40))
    #: When it was last found healthy for the first time after a deployment.
    at: Mapped[datetime]
