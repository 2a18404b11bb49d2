"""Who reports to whom, from the teams' own placements. Pure, and known to both sides of the door.

The organisation is written down one file a relation, `reports/<parent's folder>/<child's folder>.yaml`: two new teams never touch
the same file. What stands there follows from the team specs alone, so a gate can compute it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import TypeAdapter

from teams.spec import Strict, TeamSpec

#: The folder, from the root of the repository, that holds what parents know of the teams below them.
FOLDER = "reports"
EXECUTIVE = "executive"


class Report(Strict):
    """What a parent knows of one team that reports to it."""

    team: str
    #: The executive who leads its department (`cmo`).
    lead: str
    #: Whom to write to.
    manager: str
    placement: str
    purpose: str
    skills: tuple[str, ...]


#: A list of reports as JSON, as a team's process reads it.
REPORTS: TypeAdapter[tuple[Report, ...]] = TypeAdapter(tuple[Report, ...])


def parent_of(spec: TeamSpec, places: Mapping[str, str]) -> str:
    """The team placed nearest above (`marketing` for `marketing.socialmedia`), else the executive team.

    `places` is placement to name, of the placements that one team has alone: see `places_of`.
    """
    parts = spec.placement.split(".")
    for length in range(len(parts) - 1, 0, -1):
        above = places.get(".".join(parts[:length]))
        if above is not None:
            return above
    return EXECUTIVE


def places_of(teams: Iterable[TeamSpec]) -> dict[str, str]:
    """Placement to name, of the placements that one team has alone.

    Teams may share a placement: they are siblings, none leads another. So nothing can report to one of them by its placement, and what
    is placed below reports further up, rather than to whichever has the later name.
    """
    teams = tuple(teams)
    shared = Counter(team.placement for team in teams)
    return {team.placement: team.name for team in teams if shared[team.placement] == 1}


def relations(teams: Iterable[TeamSpec]) -> list[tuple[TeamSpec, TeamSpec]]:
    """(parent, child) for every team whose parent is among `teams`, by the names of both."""
    known = {team.name: team for team in teams}
    places = places_of(known.values())
    pairs = [(known.get(parent_of(team, places)), team) for team in known.values()]
    return sorted(
        ((parent, child) for parent, child in pairs if parent is not None and parent.name != child.name),
        key=lambda pair: (pair[0].name, pair[1].name),
    )


def report_of(child: TeamSpec) -> Report:
    """What the parent knows of `child`."""
    return Report(
        team=child.name,
        lead=child.reports_to,
        manager=child.manager.name,
        placement=child.placement,
        purpose=child.purpose,
        skills=child.skills,
    )


def report_path(parent: TeamSpec, child: TeamSpec) -> str:
    """Where that stands in the repository."""
    return f"{FOLDER}/{parent.folder}/{child.folder}.yaml"
