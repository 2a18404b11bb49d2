"""From what was measured to a level, by the law's marks. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from memory.watching import Reading
from policies.watch import Marks, Resource


class Level(StrEnum):
    """`absent`: there is nothing to watch here, and nothing wrong with that."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    ABSENT = "absent"


_BADNESS = {Level.ABSENT: 0, Level.OK: 0, Level.WARNING: 1, Level.CRITICAL: 2}

#: What each resource is counted in.
UNITS: Mapping[Resource, str] = {
    "api_quota": "% of the fullest budget",
    "memory": "% in use",
    "cpu": "% in use",
    "database": "ms a query",
    "docker": "daemons that do not answer",
    "mcp_servers": "servers that do not answer",
    "network": "addresses not reached",
    "teams": "teams ill",
}

#: What the company does by itself when it gets bad, and what a person can do. Nothing here restarts anything: that is the
#: reconciler's work, which does it already, with pauses between, and gives up with an incident.
REMEDIES: Mapping[Resource, str] = {
    "api_quota": "calls over a budget are refused until it opens again; policies/budgets.yaml raises it",
    "memory": "at critical, new model calls are refused until it is less; retire a team, or give the machine more",
    "cpu": "everything goes on, slower; fewer teams at once, or a larger machine",
    "database": "old readings and alerts go by themselves; look at the disk, or move to Postgres (ELF_DATABASE_URL)",
    "docker": "teams run as processes without it; start the daemon if you build images",
    "mcp_servers": "the other servers go on; ./elf doctor names the one, and log/servers/NAME.log of the home what a program said",
    "network": "what is reached goes on; the address stands in policies/watch.yaml",
    "teams": "the reconciler restarts and rolls back by itself; ./elf status says what it could not heal",
}


@dataclass(frozen=True)
class Found:
    """What a probe found: a value in the resource's unit, in words; None: nothing to measure here. `broken` is critical outright,
    `warns` at least a warning, whatever the value."""

    value: float | None
    text: str
    broken: bool = False
    warns: bool = False


def level_of(found: Found, marks: Marks) -> Level:
    """The level of one look."""
    if found.broken:
        return Level.CRITICAL
    if found.value is None:
        return Level.ABSENT
    # What is no number compares with nothing; it is not fine, either.
    if math.isnan(found.value):
        return Level.CRITICAL
    if marks.critical is not None and found.value >= marks.critical:
        return Level.CRITICAL
    if found.warns or (marks.warning is not None and found.value >= marks.warning):
        return Level.WARNING
    return Level.OK


@dataclass(frozen=True)
class Streak:
    """What counts as the level now, and the looks in a row that say it is worse."""

    level: Level = Level.OK
    looks: tuple[Level, ...] = ()


def settle(before: Streak, look: Level, marks: Marks) -> Streak:
    """The level after a look: better counts at once, worse only after `in_a_row` looks, and then as bad as the mildest of them."""
    if _BADNESS[look] <= _BADNESS[before.level]:
        return Streak(look)
    looks = (*before.looks, look)[-marks.in_a_row :]
    if len(looks) < marks.in_a_row:
        return Streak(before.level, looks)
    mildest = min(looks, key=lambda level: _BADNESS[level])
    return Streak(mildest, looks)


def reading(resource: Resource, level: Level, found: Found) -> Reading:
    return Reading(resource, level.value, found.value, found.text[:500])


def worst(levels: list[Level]) -> Level:
    """The level of everything together."""
    return max(
        (level for level in levels if level is not Level.ABSENT), key=lambda one: _BADNESS[one], default=Level.OK
    )
