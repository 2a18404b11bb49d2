"""What the reconciler writes down: one short transaction a fact, its audit entry with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mcp_servers.cluster.directory import Directory
from memory import changes, deployments, ledger, registry
from memory.session import Database
from memory.tables import DeploymentRow, IncidentRow

ACTOR = "kernel:reconciler"


@dataclass(frozen=True)
class Records:
    database: Database
    now: Callable[[], datetime]

    def project(self, directory: Directory) -> None:
        """Makes the registry equal to main."""
        with self.database.begin() as session:
            projection = registry.project(session, directory.teams, self.now())
            if projection.added or projection.changed or projection.retired or directory.broken:
                detail = {
                    "added": projection.added,
                    "changed": projection.changed,
                    "retired": projection.retired,
                    "broken": directory.broken,
                }
                self._append(session, "registry.project", directory.commit, "done", detail)

    def started(self, row: DeploymentRow) -> None:
        with self.database.begin() as session:
            session.add(row)
            self._append(session, "team.start", row.id, "started", {"tree": row.tree, "commit": row.commit})

    def address(self, deployment_id: str, address: str) -> None:
        with self.database.begin() as session:
            if row := session.get(DeploymentRow, deployment_id):
                row.address = address

    def open_deployment(self, deployment_id: str) -> DeploymentRow | None:
        with self.database.read() as session:
            row = session.get(DeploymentRow, deployment_id)
            return row if row is not None and row.ended_at is None else None

    def tokens_renewed(self, deployment_id: str, until: datetime) -> None:
        with self.database.begin() as session:
            self._append(session, "team.tokens", deployment_id, "renewed", {"until": until.isoformat()})

    def ended(self, deployment_id: str, ended_as: str, reason: str) -> None:
        """Once; a second ending of the same deployment changes nothing."""
        with self.database.begin() as session:
            row = session.get(DeploymentRow, deployment_id)
            if row is None or row.ended_at is not None:
                return
            deployments.end(row, ended_as=ended_as, reason=reason, at=self.now())
            self._append(session, "team.end", deployment_id, ended_as, {"reason": row.reason})

    def healthy(self, deployment_id: str, *, after_a_fault: bool) -> None:
        """Its tree is verified from now on."""
        with self.database.begin() as session:
            row = session.get(DeploymentRow, deployment_id)
            if row is None or row.ended_at is not None or row.healthy_at is not None:
                return
            now = self.now()
            row.healthy_at = now
            team = registry.team(session, row.team)
            folder = f"{team.zone}/{team.folder}" if team else f"teams/{row.team.replace('-', '_')}"
            changes.record_verified(session, team=row.team, path=folder, tree=row.tree, commit=row.commit, at=now)
            detail = {
                "tree": row.tree,
                "seconds": f"{(now - row.started_at).total_seconds():.3f}",
                "after_a_fault": after_a_fault,
            }
            self._append(session, "team.healthy", deployment_id, "healthy", detail)

    def incident(self, team: str, tree: str, reason: str) -> None:
        """Once for a tree while it is open."""
        with self.database.begin() as session:
            if any(row.team == team and row.tree == tree for row in deployments.open_incidents(session)):
                return
            deployments.open_incident(session, team, tree, reason, self.now())
            self._append(session, "incident.open", team, "open", {"tree": tree, "reason": reason[:2000]})

    def close_incidents(self, desired: Mapping[str, str]) -> Sequence[IncidentRow]:
        """Closes the incidents whose tree main no longer wants; returns those still open."""
        with self.database.read() as session:
            waiting = deployments.open_incidents(session)
        over = [row for row in waiting if desired.get(row.team) != row.tree]
        if over:
            with self.database.begin() as session:
                for row in over:
                    stored = session.get(IncidentRow, row.id)
                    if stored is not None and stored.closed_at is None:
                        stored.closed_at = self.now()
                        self._append(session, "incident.close", row.team, "closed", {"tree": row.tree})
        return [row for row in waiting if row not in over]

    def _append(self, session: Session, action: str, subject: str, outcome: str, detail: Mapping[str, Any]) -> None:
        ledger.append(session, ledger.Entry(ACTOR, action, subject, outcome, self.now(), detail))
