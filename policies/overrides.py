"""`overrides.yaml`: who may lift what the law lets wait or asks a person about, for how long, and what of it.

What no line here can name cannot be lifted at all: contents, paths, re-rendering, secrets, authority, a commit nobody evaluated.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from policies.facts import LawPart

Login = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})(?:\[bot\])?$")]


class Liftable(StrEnum):
    """What an override can lift."""

    #: Rates, cooldowns and the number of open changes, where they say "wait".
    LIMITS = "limits"
    #: The thresholds of costs.yaml, where they ask for a person's words.
    COSTS = "costs"
    FREEZE = "freeze"
    #: In a company of one person: that person's own, hand-made change, which nobody else could approve.
    OWN_APPROVAL = "own_approval"


class Overrides(LawPart):
    """`overrides.yaml`. Without the file nothing is lifted."""

    by: tuple[Login, ...] = ()
    """People (changes.yaml) who may."""
    liftable: tuple[Liftable, ...] = ()
    """What they may lift."""
    at_most_hours: Annotated[int, Field(ge=1, le=24 * 31, strict=True)] = 24
    """How long an override lasts at the most."""
    reason_of_at_least: Annotated[int, Field(ge=0, le=500, strict=True)] = 20
    """How many characters its reason has at the least."""

    def names(self, login: str) -> bool:
        return login.casefold() in {name.casefold() for name in self.by}
