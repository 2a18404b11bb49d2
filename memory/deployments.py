"""What was started, what became of it, and which trees could not become healthy. Facts only; states are computed from them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from memory.rows import Rows, Statement
from memory.session import Database
from memory.tables import DeploymentRow, IncidentRow

#: How many endings of a team are worth remembering when the next step is decided.
_REMEMBERED = 12
_IS_OPEN = Statement("SELECT 1 FROM deployments WHERE id = :id AND ended_at IS NULL")


def recent(session: Session, team: str) -> list[DeploymentRow]:
    """The team's open deployments and its latest ended ones, oldest first."""
    rows = session.scalars(
        select(DeploymentRow)
        .where(DeploymentRow.team == team)
        .order_by(DeploymentRow.started_at.desc(), DeploymentRow.id)
        .limit(_REMEMBERED)
    )
    return sorted(rows, key=lambda row: row.started_at)


def open_rows(session: Session) -> list[DeploymentRow]:
    """Every deployment that has not ended, as far as was written down."""
    return list(
        session.scalars(
            select(DeploymentRow).where(DeploymentRow.ended_at.is_(None)).order_by(DeploymentRow.started_at)
        )
    )


def serving(session: Session, team: str) -> DeploymentRow | None:
    """The deployment that answers for the team now: the newest healthy one that has not ended."""
    return session.scalars(
        select(DeploymentRow)
        .where(
            DeploymentRow.team == team,
            DeploymentRow.ended_at.is_(None),
            DeploymentRow.healthy_at.is_not(None),
            DeploymentRow.address.is_not(None),
        )
        .order_by(DeploymentRow.started_at.desc())
        .limit(1)
    ).first()


def is_open(database: Database, deployment_id: str, rows: Rows | None) -> bool:
    """Asked at every call of the gateway: one row, by its key; in the transaction of `rows`, for whoever holds one."""
    values = {"id": deployment_id}
    found = database.look(_IS_OPEN, values) if rows is None else rows.execute(_IS_OPEN, values).fetchone()
    return found is not None


def end(row: DeploymentRow, *, ended_as: str, reason: str, at: datetime) -> None:
    row.ended_at, row.ended_as, row.reason = at, ended_as, reason[:2000]


def open_incident(session: Session, team: str, tree: str, reason: str, at: datetime) -> IncidentRow:
    """The incident of this tree; opened, or opened again, if it is not open."""
    row = session.scalars(select(IncidentRow).where(IncidentRow.team == team, IncidentRow.tree == tree)).first()
    if row is None:
        row = IncidentRow(team=team, tree=tree, reason=reason[:2000], opened_at=at)
        session.add(row)
    elif row.closed_at is not None:
        row.closed_at, row.opened_at, row.reason = None, at, reason[:2000]
    session.flush()
    return row


def open_incidents(session: Session) -> list[IncidentRow]:
    return list(
        session.scalars(select(IncidentRow).where(IncidentRow.closed_at.is_(None)).order_by(IncidentRow.opened_at))
    )
