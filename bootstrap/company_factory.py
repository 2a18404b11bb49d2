"""The team factory as the gate, the proposer and the tools use it: one renderer, one forecast, one price list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from mcp_servers.factories.forecast import Price, UnknownPrice, forecast
from mcp_servers.factories.spec_files import load_spec
from mcp_servers.factories.team import render
from mcp_servers.gateway.models import Models
from mcp_servers.gateway.prices import Prices, Tokens
from mcp_servers.gateway.refusals import Refused
from teams.spec import TeamSpec

_MILLION = 1_000_000


@dataclass(frozen=True)
class CompanyFactory:
    models: Models
    prices: Prices

    def load(self, text: bytes) -> TeamSpec:
        return load_spec(text.decode())

    def render(self, spec: TeamSpec, zone: str) -> Mapping[str, bytes]:
        if zone not in ("teams", "meta_teams"):
            raise ValueError(f"'{zone}' is no zone for a team; it is teams or meta_teams")
        return render(spec, "meta_teams" if zone == "meta_teams" else "teams")

    def forecast(self, spec: TeamSpec) -> int | None:
        """Micro-dollars a month; None if a model of the team has no known price."""
        found = {model: self.price_of(model) for model in {spec.model_of(member) for member in spec.members}}
        known = {model: price for model, price in found.items() if price is not None}
        try:
            return int(forecast(spec, known).usd_month * _MILLION)
        except UnknownPrice:
            return None

    def price_of(self, model: str) -> Price | None:
        """US dollars a million tokens of a model by its gateway name; None where it is unknown."""
        try:
            link = self.models.resolve(model)
            given = self.prices.cost(link, Tokens(_MILLION, 0))
            produced = self.prices.cost(link, Tokens(0, _MILLION))
        except Refused:
            return None
        return Price(Decimal(given) / _MILLION, Decimal(produced) / _MILLION)
