"""What the gate and the proposer need of the team factory: the same three calls, so that what is proposed is what is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from mcp_servers.factories import spec_files, team
from mcp_servers.factories.forecast import Price, UnknownPrice, forecast
from policies.money import usd_micro
from teams.spec import TeamSpec

Zone = Literal["teams", "meta_teams"]


class Factory(Protocol):
    """Spec to files. Pure; any error of these calls means that the spec is not one the company can deploy."""

    def load(self, text: bytes) -> TeamSpec:
        """The spec in a `team.yaml`. `ValueError` says what is wrong and what to do."""
        ...

    def render(self, spec: TeamSpec, zone: Zone) -> Mapping[str, bytes]:
        """The team's files by path inside its folder; all plain files (100644)."""
        ...

    def forecast(self, spec: TeamSpec) -> int | None:
        """Micro-dollars in a month; None if nobody can say."""
        ...


class TeamFactory:
    """The company's own factory. `price_of` gives a model's price, None where nobody knows it."""

    def __init__(self, price_of: Callable[[str], Price | None]) -> None:
        self._price_of = price_of

    def load(self, text: bytes) -> TeamSpec:
        return spec_files.load_spec(text)

    def render(self, spec: TeamSpec, zone: Zone) -> Mapping[str, bytes]:
        return team.render(spec, zone)

    def forecast(self, spec: TeamSpec) -> int | None:
        models = {spec.model_of(member) for member in spec.members}
        prices = {model: price for model in models if (price := self._price_of(model)) is not None}
        try:
            return usd_micro(forecast(spec, prices).usd_month)
        except UnknownPrice:
            return None
