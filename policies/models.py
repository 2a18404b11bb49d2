"""`models.yaml`: chains of models, who uses which, and when to stop trying. What it all means stands in the file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from policies.access import Grantee
from policies.facts import Frozen
from policies.providers import BUILT_IN, RESERVED, NamedProvider, ProviderName

#: A provider, or one model at a provider.
LinkName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?:/[A-Za-z0-9][A-Za-z0-9._:/-]*)?$", max_length=100),
]
ChainName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$", max_length=40)]
Purpose = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
When = Literal["never", "near_limit", "always"]


class Override(Frozen):
    """A chain for some members, for some purpose."""

    to: Grantee = "*/*"
    purpose: Purpose | None = None
    chain: ChainName

    def fits(self, team: str, member: str, purpose: str) -> bool:
        to_team, to_member = self.to.split("/")
        return to_team in ("*", team) and to_member in ("*", member) and self.purpose in (None, purpose)


class Economy(Frozen):
    """When the cheapest link goes first."""

    when: When = "near_limit"
    chain: ChainName | None = "thrifty"
    teams: dict[str, When] = Field(default_factory=dict)

    def applies(self, team: str, *, near_limit: bool) -> bool:
        when = self.teams.get(team, self.when)
        return when == "always" or (when == "near_limit" and near_limit)


class Circuit(Frozen):
    """How many failures in a row open a link's circuit, and for how long."""

    failures: int = Field(default=5, ge=1)
    seconds: float = Field(default=30, gt=0)


class LoopLimits(Frozen):
    """What one run may ask. None: no limit."""

    same_request_at_most: int | None = Field(default=10, ge=1)
    calls_in_a_run_at_most: int | None = Field(default=300, ge=1)


class Queue(Frozen):
    """Which calls wait for a free place or a closed circuit instead of failing, how many of them, and for how long."""

    purposes: tuple[Purpose, ...] = ("member-work", "manager-work", "skeptic-review")
    at_most: int = Field(default=64, ge=0, le=10_000)
    each_team_at_most: int = Field(default=16, ge=0, le=10_000)
    seconds: float = Field(default=45, gt=0, le=3600)


def _shipped() -> dict[str, tuple[str, ...]]:
    return {
        "standard": ("local", "anthropic", "openai"),
        "thrifty": ("local", "openai/gpt-5-nano", "anthropic/claude-haiku-4-5"),
    }


class ModelsLaw(Frozen):
    """The whole file. Its defaults are what the shipped file says, for a company founded before there was one."""

    #: Beside the three that the environment alone sets up.
    providers: dict[ProviderName, NamedProvider] = Field(default_factory=dict, max_length=30)
    chains: dict[ChainName, Annotated[tuple[LinkName, ...], Field(min_length=1, max_length=10)]] = Field(
        default_factory=_shipped, min_length=1
    )
    default: ChainName = "standard"
    overrides: tuple[Override, ...] = ()
    after_a_named_model: ChainName | None = "standard"
    deadline_seconds: float = Field(default=120, gt=0, le=3600)
    economy: Economy = Economy()
    circuit: Circuit = Circuit()
    loops: LoopLimits = LoopLimits()
    queue: Queue = Queue()
    embeddings: Annotated[
        str, StringConstraints(pattern=r"^(?:lexical|[a-z][a-z0-9]*(?:-[a-z0-9]+)*/\S+)$", max_length=100)
    ] = "lexical"

    @model_validator(mode="after")
    def _names_providers_that_are_there(self) -> Self:
        if taken := sorted(RESERVED & set(self.providers)):
            raise ValueError(f"providers.{taken[0]}: this name means something else; choose another")
        for chain, links in self.chains.items():
            for link in links:
                self._knows(link, f"chains.{chain}")
        if self.embeddings != "lexical":
            provider = self._knows(self.embeddings, "embeddings")
            if provider == "anthropic" or (provider in self.providers and self.providers[provider].langchain):
                raise ValueError(f"embeddings: {provider} makes none here; name a provider that speaks OpenAI's wire")
        return self

    def _knows(self, link: str, where: str) -> str:
        provider = link.partition("/")[0]
        if provider not in BUILT_IN and provider not in self.providers:
            known = ", ".join((*BUILT_IN, *sorted(self.providers)))
            raise ValueError(
                f"{where}: there is no provider {provider!r}; put it under providers, or name one of {known}"
            )
        return provider

    @model_validator(mode="after")
    def _names_chains_that_are_there(self) -> Self:
        if taken := sorted((RESERVED | set(self.providers)) & set(self.chains)):
            raise ValueError(f"chains.{taken[0]}: this name means something else; choose another")
        for name, links in self.chains.items():
            if len(set(links)) != len(links):
                raise ValueError(f"chains.{name}: a link is there twice; nothing is asked twice")
        named = {"default": self.default, "after_a_named_model": self.after_a_named_model}
        named |= {"economy.chain": self.economy.chain}
        named |= {f"overrides.{number}.chain": one.chain for number, one in enumerate(self.overrides)}
        for where, chain in named.items():
            if chain is not None and chain not in self.chains:
                raise ValueError(f"{where}: there is no chain {chain!r}; name one of {', '.join(sorted(self.chains))}")
        return self

    def is_named(self, link: str) -> bool:
        """Whether the link's provider is one that this file names."""
        return link.partition("/")[0] in self.providers

    def chain_for(self, team: str, member: str, purpose: str) -> str:
        """The name of the chain that `default` means for this call."""
        return next((one.chain for one in self.overrides if one.fits(team, member, purpose)), self.default)
