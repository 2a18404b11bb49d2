"""What the gate and the proposer need of the team factory: the same three calls, so that what is proposed is what is judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from teams.spec import TeamSpec


class Factory(Protocol):
    """Spec to files. Pure; any error of these calls means that the spec is not one the company can deploy."""

    def load(self, text: bytes) -> TeamSpec:
        """The spec in a `team.yaml`. `ValueError` says what is wrong and what to do."""
        ...

    def render(self, spec: TeamSpec, zone: str) -> Mapping[str, bytes]:
        """The team's files by path inside its folder; all plain files (100644)."""
        ...

    def forecast(self, spec: TeamSpec) -> int | None:
        """Micro-dollars in a month; None if nobody can say."""
        ...
