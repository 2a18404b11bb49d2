"""Which models a name means, in which order, and the provider that serves each. What is used is said openly.

The order is the law's (`policies/models.yaml`), and so are the providers that people name; keys are the environment's. The rehearsal
model answers where nothing at all is configured, or by its own name: it never stands in for a model that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_servers.gateway.chat import ChatProvider, ProviderFailed
from mcp_servers.gateway.endpoints import Endpoint, Missing, configured, endpoint, is_real
from mcp_servers.gateway.grants import DEFAULT_MODEL
from mcp_servers.gateway.lexical import LEXICAL, Embedder, LexicalEmbedder
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.prices import Link, Prices, Tokens
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.rehearsal_provider import RehearsalProvider
from policies.models import ModelsLaw
from policies.providers import BUILT_IN

if TYPE_CHECKING:
    from mcp_servers.gateway.clients import Clients

REHEARSAL = Link("rehearsal", "rehearsal")

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
        cheaper, _ = self._configured(law.chains[law.economy.chain] if law.economy.chain else (), law)
        if chain in law.chains:
            links, skipped = self._configured(law.chains[chain], law)
            if not links and is_real(self.settings, law.providers):
                reasons = ", ".join(f"{link}: {why}" for link, why in skipped.items())
                raise Refused("not_found", f"No model of the chain {chain!r} can be used ({reasons}).", param="model")
            return Plan(name, chain, links or (REHEARSAL,), skipped, cheaper)
        after = law.after_a_named_model
        links, skipped = self._configured(law.chains[after] if after else (), law)
        return Plan(name, after, _once((self._named(name, law), *links)), skipped, cheaper)

    def check(self, name: str, prices: Prices) -> Link:
        """The first link that the name means, if one of them has a price. Raises `Refused`: it is not configured, or has none."""
        links = self.plan(name).links
        refusals: list[Refused] = []
        for link in links:
            try:
                prices.cost(link, _ONE_TOKEN)
            except Refused as refused:
                refusals.append(refused)
        if len(refusals) == len(links):
            raise refusals[0]
        return links[0]

    def usable(self, name: str, prices: Prices) -> bool:
        """Whether the name means a model that is configured and has a price."""
        try:
            self.check(name, prices)
        except Refused:
            return False
        return True

    def names(self) -> tuple[str, ...]:
        """What a person may choose from: `default`, rehearsal if that is what it means, and each configured model."""
        found = configured(self.settings, self.law().providers)
        return tuple(dict.fromkeys([DEFAULT_MODEL, self.default.name, *(_link(one).name for one in found)]))

    def left_out(self, prices: Prices) -> dict[str, str]:
        """Providers that the law names and links of its chains at them that cannot be used, each with what a person can do."""
        law = self.law()
        links = [link for chain in law.chains.values() for link in chain if law.is_named(link)]
        found: dict[str, str] = {}
        for name in dict.fromkeys((*law.providers, *links)):
            here = endpoint(name.partition("/")[0], self.settings, law.providers)
            if not isinstance(here, Endpoint):
                found[name.partition("/")[0]] = here.why if here else "there is no such provider"
                continue
            try:
                prices.cost(_link(here, name.partition("/")[2]), _ONE_TOKEN)
            except Refused as refused:
                found[name] = refused.message
        return found

    def load(self, link: Link) -> None:
        """Imports what asking the link takes, if that is much. What is wrong with it is said by whoever asks."""
        with suppress(ProviderFailed):
            self._loaded().load(self._endpoint(link), link.model)

    def provider(self, link: Link) -> ChatProvider:
        """Raises `ProviderFailed` if the law no longer knows the link's provider, or its key has gone."""
        if link.provider == REHEARSAL.provider:
            return self._rehearsal
        return self._loaded().provider(self._endpoint(link), link.model)

    def embedding(self, name: str) -> Link:
        """The one model that a name means for embeddings. Raises `Refused` (not_found)."""
        law = self.law()
        name = law.embeddings if name == DEFAULT_MODEL else name
        if name == LEXICAL.name:
            return LEXICAL
        link = self._named(name, law)
        found = law.providers.get(link.provider)
        if link.provider == "anthropic" or (found is not None and found.langchain):
            raise Refused(
                "not_found",
                f"{link.provider} makes no embeddings; use 'lexical', 'openai/…', 'local/…' or a provider that speaks OpenAI's wire.",
                param="model",
            )
        return link

    def embedder(self, link: Link) -> Embedder:
        return self._lexical if link == LEXICAL else self._loaded().embedder(self._endpoint(link), link.model)

    async def close(self) -> None:
        """Closes the connections. The object cannot be used afterwards."""
        if self._clients is not None:
            await self._clients.close()

    def _configured(self, names: Iterable[str], law: ModelsLaw) -> tuple[tuple[Link, ...], dict[str, str]]:
        links: list[Link] = []
        skipped: dict[str, str] = {}
        for name in names:
            provider, _, model = name.partition("/")
            found = endpoint(provider, self.settings, law.providers)
            if isinstance(found, Endpoint):
                links.append(_link(found, model))
            else:
                skipped[name] = found.why if found else "there is no such provider"
        return _once(links), skipped

    def _named(self, name: str, law: ModelsLaw) -> Link:
        provider, _, model = name.partition("/")
        found = endpoint(provider, self.settings, law.providers)
        if found is None or not model:
            known = ", ".join(f"'{one}/…'" for one in (*BUILT_IN, *law.providers))
            raise Refused(
                "not_found",
                f"There is no model {name[:80]!r}. Names are 'default', 'rehearsal', {known} and the chains of "
                "policies/models.yaml.",
                param="model",
            )
        if isinstance(found, Missing):
            raise Refused("not_found", f"The model {name[:80]!r} cannot be used: {found.why}.", param="model")
        return Link(provider, model)

    def _endpoint(self, link: Link) -> Endpoint:
        # The law is not asked where it has nothing to say: this is on the way of every call.
        named = {} if link.provider in BUILT_IN else self.law().providers
        found = endpoint(link.provider, self.settings, named)
        if isinstance(found, Endpoint):
            return found
        why = found.why if found else "there is no such provider any more"
        raise ProviderFailed(f"{link.name} cannot be used: {why}.", "unreachable", free=True)

    def _loaded(self) -> Clients:
        if self._clients is None:
            # Two providers' SDKs take seconds to import; a company that rehearses does not wait for them.
            from mcp_servers.gateway.clients import Clients

            self._clients = Clients(self.settings.timeout_seconds)
        return self._clients


def _link(here: Endpoint, model: str = "") -> Link:
    return Link(here.provider, model or here.model)


def _once(links: Iterable[Link]) -> tuple[Link, ...]:
    return tuple(dict.fromkeys(links))
