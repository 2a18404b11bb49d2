"""The registry: which teams there are, who is in them, who answers to whom.

The directory of main is the source. `project` makes the tables equal to it, in one transaction, so both ends of a relation always
agree: a parent is a row, a team has one parent, and only the executive team has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from memory.tables import MemberRow, RelationshipRow, TeamRow
from teams.chart import EXECUTIVE, relations
from teams.spec import TeamSpec


@dataclass(frozen=True)
class Registered:
    """A team as one commit of main has it. `zone` is `teams` or `meta_teams`; `tree` the Git tree of its folder."""

    spec: TeamSpec
    zone: str
    tree: str
    commit: str

    @property
    def path(self) -> str:
        """The team's folder from the root of the repository."""
        return f"{self.zone}/{self.spec.folder}"


@dataclass(frozen=True)
class Projection:
    """What a projection changed, by team name."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    retired: tuple[str, ...]


def project(session: Session, teams: Sequence[Registered], now: datetime) -> Projection:
    """Makes the registry equal to main's directory. Rows of teams that left main stay, marked retired."""
    wanted = {team.spec.name: team for team in teams}
    known = {row.name: row for row in session.scalars(select(TeamRow))}
    added = [name for name in wanted if name not in known or known[name].retired_at is not None]
    retired = [name for name, row in known.items() if name not in wanted and row.retired_at is None]
    changed = [name for name in wanted if name not in added and known[name].tree != wanted[name].tree]
    for name in retired:
        known[name].retired_at = now
    for name in added + changed:
        _write_team(session, wanted[name], known.get(name), now)
    if added or changed or retired:
        _write_relationships(session, list(wanted.values()))
    return Projection(tuple(sorted(added)), tuple(sorted(changed)), tuple(sorted(retired)))


def _write_team(session: Session, team: Registered, row: TeamRow | None, now: datetime) -> None:
    spec = team.spec
    if row is None:
        row = TeamRow(name=spec.name, registered_at=now)
        session.add(row)
    elif row.retired_at is not None:
        row.registered_at = now
    row.zone, row.folder, row.placement, row.department = team.zone, spec.folder, spec.placement, spec.department
    row.reports_to, row.framework, row.purpose = spec.reports_to, spec.framework, spec.purpose
    row.spec, row.tree, row.commit, row.retired_at = spec.model_dump(mode="json"), team.tree, team.commit, None
    session.flush()
    session.execute(delete(MemberRow).where(MemberRow.team == spec.name))
    session.add_all(
        MemberRow(
            team=spec.name,
            name=member.name,
            role=member.role,
            is_manager=member.manager,
            is_skeptic=member.skeptic,
            skills=" ".join(member.skills),
            tools=" ".join(member.tools),
            model=spec.model_of(member),
        )
        for member in spec.members
    )
    session.flush()


def _write_relationships(session: Session, teams: list[Registered]) -> None:
    session.execute(delete(RelationshipRow))
    session.add_all(
        RelationshipRow(child=child.name, parent=parent.name, lead=child.reports_to)
        for parent, child in relations(team.spec for team in teams)
    )
    session.flush()


def team(session: Session, name: str) -> TeamRow | None:
    """The living team of that name."""
    row = session.get(TeamRow, name)
    return row if row is not None and row.retired_at is None else None


def living(session: Session) -> list[TeamRow]:
    """Every team in main, by name."""
    return list(session.scalars(select(TeamRow).where(TeamRow.retired_at.is_(None)).order_by(TeamRow.name)))


def query(session: Session, *, skill: str = "", department: str = "", text: str = "") -> list[dict[str, Any]]:
    """Living teams that match everything given, as plain data with their members' skills."""
    found = [_summary(row) for row in living(session)]
    if skill:
        found = [team for team in found if skill.lower() in team["skills"]]
    if department:
        found = [team for team in found if team["department"] == department.lower()]
    if words := text.lower().split():
        found = [team for team in found if any(word in _searchable(team) for word in words)]
    return found


def members(session: Session, name: str) -> list[dict[str, Any]]:
    """The members of a team, manager first."""
    rows = session.scalars(select(MemberRow).where(MemberRow.team == name).order_by(MemberRow.id))
    found = [
        {
            "name": row.name,
            "role": row.role,
            "manager": row.is_manager,
            "skeptic": row.is_skeptic,
            "skills": row.skills.split(),
            "tools": row.tools.split(),
            "model": row.model,
        }
        for row in rows
    ]
    return sorted(found, key=lambda member: not member["manager"])


def hierarchy(session: Session) -> list[dict[str, Any]]:
    """The company as trees, roots included: `{team, lead, children: [...]}`."""
    relations = {row.child: row for row in session.scalars(select(RelationshipRow))}
    below: dict[str | None, list[str]] = {}
    for row in living(session):
        relation = relations.get(row.name)
        below.setdefault(relation.parent if relation else None, []).append(row.name)

    def branch(names: Iterable[str]) -> list[dict[str, Any]]:
        return [
            {
                "team": name,
                "lead": relations[name].lead if name in relations else None,
                "children": branch(below.get(name, [])),
            }
            for name in sorted(names)
        ]

    return branch(below.get(None, []))


def executives(session: Session) -> list[dict[str, Any]]:
    """Each executive with the teams that answer to them."""
    rows = living(session)
    return [
        {
            "executive": member["name"],
            "role": member["role"],
            "teams": [row.name for row in rows if row.reports_to == member["name"] and row.name != EXECUTIVE],
        }
        for member in members(session, EXECUTIVE)
    ]


def composition(session: Session, name: str) -> dict[str, Any] | None:
    """How a team is made up, and whether its size is healthy (3 to 7, best 5)."""
    row = team(session, name)
    if row is None:
        return None
    people = members(session, name)
    return {
        **_summary(row),
        "members": people,
        "size": len(people),
        "size_advice": "best" if len(people) == 5 else "healthy",
        "skeptic": next((member["name"] for member in people if member["skeptic"]), None),
    }


def _summary(row: TeamRow) -> dict[str, Any]:
    spec = TeamSpec.model_validate(row.spec)
    return {
        "name": row.name,
        "purpose": row.purpose,
        "placement": row.placement,
        "department": row.department,
        "reports_to": row.reports_to,
        "framework": row.framework,
        "manager": spec.manager.name,
        "size": len(spec.members),
        "skills": list(spec.skills),
        "daily_budget_usd": str(spec.daily_budget_usd),
    }


def _searchable(team: dict[str, Any]) -> str:
    return " ".join([team["name"], team["purpose"], team["placement"], *team["skills"]]).lower()
