"""Who could do it already: required skills against living teams, a tool's abilities against served ones. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from meta_teams.delivery.seen import ServerRow, TeamRow

#: They lead and build the company; work goes to the others.
META_TEAMS = frozenset({"executive", "devops"})
COVERED_FROM, EXTENDABLE_FROM = 0.75, 0.25


@dataclass(frozen=True)
class Coverage:
    """`team` does at least three quarters of what is needed; `extendable` does some of it and could be extended."""

    team: str | None = None
    extendable: str | None = None
    missing: tuple[str, ...] = ()


def coverage(required: Sequence[str], department: str, teams: Sequence[TeamRow]) -> Coverage:
    """The team that has most of the skills, by name where two have equally many."""
    candidates = sorted((team for team in teams if team.name not in META_TEAMS), key=lambda team: team.name)
    if not required or not candidates:
        return Coverage(missing=tuple(required))
    best = max(candidates, key=lambda team: (len(_met(required, team)), team.department == department))
    met = _met(required, best)
    share = len(met) / len(required)
    missing = tuple(skill for skill in required if skill not in met)
    if share >= COVERED_FROM:
        return Coverage(team=best.name, missing=missing)
    if share >= EXTENDABLE_FROM:
        return Coverage(extendable=best.name, missing=missing)
    return Coverage(missing=missing)


def serving(required: Sequence[str], servers: Sequence[ServerRow]) -> ServerRow | None:
    """The healthy server whose tools do at least three quarters of it, told from names and purpose; the first by name of equals."""
    healthy = sorted((one for one in servers if one.healthy and one.tools), key=lambda one: one.server)
    if not required or not healthy:
        return None
    best = max(healthy, key=lambda one: _served(required, one))
    return best if _served(required, best) >= COVERED_FROM * len(required) else None


def _served(required: Sequence[str], server: ServerRow) -> int:
    said = " ".join([server.purpose, *(one.tool for one in server.tools)]).lower()
    has = {_root(word) for word in re.findall(r"[a-z0-9]+", said)}
    return sum({_root(word) for word in skill.lower().split("-") if word} <= has for skill in required)


def _root(word: str) -> str:
    """What `currencies` and `currency`, or `convert` and `conversion` have in common."""
    return _stem(word)[:5]


def _met(required: Sequence[str], team: TeamRow) -> frozenset[str]:
    has = [_words(skill) for skill in team.skills]
    return frozenset(skill for skill in required if any(_words(skill) <= own for own in has))


def _words(skill: str) -> frozenset[str]:
    """The words of a skill without their endings: `blog-posts-writing` has those of `writing-blog-post`."""
    return frozenset(_stem(word) for word in skill.lower().replace("_", "-").split("-") if word)


def _stem(word: str) -> str:
    for ending in ("ing", "ers", "er", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
