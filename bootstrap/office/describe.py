"""How a team is, computed from evidence: what main says, what was started, what its last health check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mcp_servers.cluster.port import Cluster
from mcp_servers.cluster.reconciler import Reconciler
from memory import budgets, changes, deployments, registry, usage
from memory.session import Database
from memory.tables import DeploymentRow, IncidentRow, TeamRow


@dataclass(frozen=True)
class Teams:
    """Reads; changes nothing."""

    database: Database
    cluster: Cluster
    reconciler: Reconciler

    def all(self, now: datetime) -> list[dict[str, Any]]:
        """Every living team, by name."""
        with self.database.read() as session:
            spent = usage.spent_today(session, now)
            incidents = {row.team: row for row in deployments.open_incidents(session)}
            return [self._describe(session, row, incidents, spent, now) for row in registry.living(session)]

    def one(self, name: str, now: datetime) -> dict[str, Any] | None:
        """One living team, with its verified trees; None if there is no such team."""
        with self.database.read() as session:
            row = registry.team(session, name)
            if row is None:
                return None
            incidents = {row.team: row for row in deployments.open_incidents(session)}
            found = self._describe(session, row, incidents, usage.spent_today(session, now), now)
            verified = changes.verified_trees(session, f"{row.zone}/{row.folder}")
            endings = [one for one in deployments.recent(session, name) if one.ended_at is not None]
            return found | {
                "verified_trees": [one.tree for one in verified],
                "endings": [{"tree": one.tree, "as": one.ended_as, "reason": one.reason} for one in endings[-5:]],
            }

    def _describe(
        self,
        session: Session,
        row: TeamRow,
        incidents: Mapping[str, IncidentRow],
        spent: Mapping[str, int],
        now: datetime,
    ) -> dict[str, Any]:
        recent = deployments.recent(session, row.name)
        serving = deployments.serving(session, row.name)
        incident = incidents.get(row.name)
        state, reason = self._state(row, serving, recent, incident)
        look = self.reconciler.look_of(serving.id) if serving else None
        running = self.cluster.running().get(serving.id) if serving else None
        return {
            "team": row.name,
            "state": state,
            "reason": reason,
            "department": row.department,
            "framework": row.framework,
            "wanted_tree": row.tree,
            "serving_tree": serving.tree if serving else None,
            "deployment": serving.id if serving else None,
            "process": running.process if running else None,
            "confinement": look.confinement if look else None,
            "age_seconds": (now - serving.started_at).total_seconds() if serving else None,
            "restarts": sum(one.ended_as in {"crashed", "failed"} for one in recent),
            "spent_today_usd": budgets.usd(spent.get(row.name, 0)),
            "daily_budget_usd": row.spec["daily_budget_usd"],
        }

    def _state(
        self, row: TeamRow, serving: DeploymentRow | None, recent: list[DeploymentRow], incident: IncidentRow | None
    ) -> tuple[str, str | None]:
        """The state in one word, and why if it is not simply active."""
        if serving is not None and serving.id in self.cluster.running():
            look = self.reconciler.look_of(serving.id)
            if incident is not None:
                return "ill", f"main's version fails ({incident.reason}); the last verified one serves"
            if look is not None and look.health != "ok":
                return "healing", look.reason or look.health
            if serving.tree != row.tree:
                return "active", "a newer version is coming up"
            return "active", None
        if incident is not None:
            return "ill", incident.reason
        if any(one.ended_at is None for one in recent):
            return "starting", None
        return ("healing", recent[-1].reason) if recent else ("starting", None)
