"""Which models a name means, in which order, and the provider that serves each. What is used is said openly.

The order is the law's (`policies/models.yaml`); what is configured is the environment's. The rehearsal model answers where nothing
at all is configured, or by its own name: it never stands in for a model that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_servers.gateway.chat import ChatProvider
from mcp_servers.gateway.grants import DEFAULT_MODEL
from mcp_servers.gateway.lexical import LEXICAL, Embedder, LexicalEmbedder
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.prices import Link, Prices, Provider, Tokens
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.rehearsal_provider import RehearsalProvider
from policies.models import ModelsLaw

if TYPE_CHECKING:
    from mcp_servers.gateway.clients import Clients

REHEARSAL = Link("rehearsal", "rehearsal")

_PROVIDERS: Mapping[str, Provider] = {"openai": "openai", "anthropic": "anthropic", "local": "local"}
_MISSING: Mapping[Provider, str] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "local": "ELF_MODEL_BASE_URL",
}
_ONE_TOKEN = Tokens(1, 1)


@dataclass(frozen=True)
class Plan:
    """What a name means for one call: links in the order they are tried, and those left out, with the reason."""

    asked: str
    chain: str | None
    links: tuple[Link, ...]
    skipped: Mapping[str, str]
    #: What else may be used where spending less is asked for.
    cheaper: tuple[Link, ...] = ()


class Models:
    """Resolves names and keeps one client a model: connections and TLS contexts are shared between calls."""

    def __init__(
        self,
        settings: ModelSettings,
        rehearsal: Callable[[dict[str, Any]], Mapping[str, Any]],
        law: Callable[[], ModelsLaw] = ModelsLaw,
    ) -> None:
        self.settings = settings
        self.law = law
        self._rehearsal = RehearsalProvider(rehearsal)
        self._lexical = LexicalEmbedder()
        self._clients: Clients | None = None

    @property
    def default(self) -> Link:
        """What `default` means first. Raises `Refused` (not_found)."""
        return self.resolve(DEFAULT_MODEL)

    @property
    def default_name(self) -> str:
        """The name of `default`'s first link, for people; or why there is none."""
        try:
            return self.default.name
        except Refused as refused:
            return refused.message

    def resolve(self, name: str) -> Link:
        """The link that a gateway model name means first, for nobody in particular. Raises `Refused` (not_found)."""
        return self.plan(name).links[0]

    def plan(
        self, name: str, team: str = "", member: str = "", purpose: str = "", law: ModelsLaw | None = None
    ) -> Plan:
        """The links that a gateway model name means for this caller and purpose. Raises `Refused` (not_found)."""
        law = law or self.law()
        if name == REHEARSAL.name:
            return Plan(name, None, (REHEARSAL,), {})
        chain = law.chain_for(team, member, purpose) if name == DEFAULT_MODEL else name
        cheaper, _ = self._configured(law.chains[law.economy.chain] if law.economy.chain else ())
        if chain in law.chains:
            links, skipped = self._configured(law.chains[chain])
            if not links and self.settings.configured:
                reasons = ", ".join(f"{link}: {why}" for link, why in skipped.items())
                raise Refused("not_found", f"No model of the chain {chain!r} can be used ({reasons}).", param="model")
            return Plan(name, chain, links or (REHEARSAL,), skipped, cheaper)
        after = law.after_a_named_model
        links, skipped = self._configured(law.chains[after] if after else ())
        return Plan(name, after, _once((self._named(name), *links)), skipped, cheaper)

    def usable(self, name: str, prices: Prices) -> bool:
        """Whether the name means a model that is configured and has a price."""
        try:
            return any(_priced(link, prices) for link in self.plan(name).links)
        except Refused:
            return False

    def names(self) -> tuple[str, ...]:
        """What a person may choose from: `default`, rehearsal if that is what it means, and each configured model."""
        links = [Link(provider, model) for provider, model in self.settings.configured.items()]
        return tuple(dict.fromkeys([DEFAULT_MODEL, self.default.name, *(link.name for link in links)]))

    def provider(self, link: Link) -> ChatProvider:
        return self._rehearsal if link.provider == "rehearsal" else self._loaded().provider(link)

    def embedding(self, name: str) -> Link:
        """The one model that a name means for embeddings. Raises `Refused` (not_found)."""
        name = self.law().embeddings if name == DEFAULT_MODEL else name
        if name == LEXICAL.name:
            return LEXICAL
        link = self._named(name)
        if link.provider not in ("openai", "local"):
            raise Refused(
                "not_found",
                f"{link.provider} makes no embeddings; use 'lexical', 'openai/…' or 'local/…'.",
                param="model",
            )
        return link

    def embedder(self, link: Link) -> Embedder:
        return self._lexical if link == LEXICAL else self._loaded().embedder(link)

    async def close(self) -> None:
        """Closes the connections. The object cannot be used afterwards."""
        if self._clients is not None:
            await self._clients.close()

    def _configured(self, names: Iterable[str]) -> tuple[tuple[Link, ...], dict[str, str]]:
        links: list[Link] = []
        skipped: dict[str, str] = {}
        for name in names:
            prefix, _, model = name.partition("/")
            provider = _PROVIDERS[prefix]
            configured = self.settings.configured.get(provider)
            if configured is None:
                skipped[name] = f"{_MISSING[provider]} is not set"
            else:
                links.append(Link(provider, model or configured))
        return _once(links), skipped

    def _named(self, name: str) -> Link:
        prefix, _, model = name.partition("/")
        provider = _PROVIDERS.get(prefix)
        if provider is None or not model:
            raise Refused(
                "not_found",
                f"There is no model {name[:80]!r}. Names are 'default', 'rehearsal', 'openai/…', 'anthropic/…', 'local/…' "
                "and the chains of policies/models.yaml.",
                param="model",
            )
        if provider not in self.settings.configured:
            raise Refused(
                "not_found", f"The model {name[:80]!r} cannot be used: {_MISSING[provider]} is not set.", param="model"
            )
        return Link(provider, model)

    def _loaded(self) -> Clients:
        if self._clients is None:
            # Two providers' SDKs take seconds to import; a company that rehearses does not wait for them.
            from mcp_servers.gateway.clients import Clients

            self._clients = Clients(self.settings)
        return self._clients


def _once(links: Iterable[Link]) -> tuple[Link, ...]:
    return tuple(dict.fromkeys(links))


def _priced(link: Link, prices: Prices) -> bool:
    try:
        prices.cost(link, _ONE_TOKEN)
    except Refused:
        return False
    return True
