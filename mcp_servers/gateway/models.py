"""Which model a name means, and the provider that serves it. What is used is said openly: nothing stands in for a failed model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mcp_servers.gateway.chat import ChatProvider
from mcp_servers.gateway.grants import DEFAULT_MODEL
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.prices import Link, Prices, Provider, Tokens
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.rehearsal_provider import RehearsalProvider

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


class Models:
    """Resolves names and keeps one client a model: connections and TLS contexts are shared between calls."""

    def __init__(self, settings: ModelSettings, rehearsal: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        self.settings = settings
        self._rehearsal = RehearsalProvider(rehearsal)
        self._clients: Clients | None = None

    @property
    def default(self) -> Link:
        """What `default` means. Raises `Refused` if the settings prefer what is not configured."""
        configured, wanted = self.settings.configured, self.settings.prefer
        if wanted == "rehearsal":
            return REHEARSAL
        if wanted is not None and wanted not in configured:
            raise Refused(
                "not_found", f"The settings prefer {wanted}, but it is not configured; set its key or address."
            )
        for provider in (wanted,) if wanted else configured:
            return Link(provider, configured[provider])
        return REHEARSAL

    def resolve(self, name: str) -> Link:
        """The link that a gateway model name means. Raises `Refused` (not_found)."""
        if name == DEFAULT_MODEL:
            return self.default
        if name == REHEARSAL.name:
            return REHEARSAL
        prefix, _, model = name.partition("/")
        provider = _PROVIDERS.get(prefix)
        if provider is None or not model:
            raise Refused(
                "not_found",
                f"There is no model {name[:80]!r}. Names are 'default', 'rehearsal', 'openai/…', 'anthropic/…' and 'local/…'.",
                param="model",
            )
        if provider not in self.settings.configured:
            raise Refused(
                "not_found", f"The model {name[:80]!r} cannot be used: {_MISSING[provider]} is not set.", param="model"
            )
        return Link(provider, model)

    def usable(self, name: str, prices: Prices) -> bool:
        """Whether the name means a model that is configured and has a price."""
        try:
            prices.cost(self.resolve(name), _ONE_TOKEN)
        except Refused:
            return False
        return True

    def names(self) -> tuple[str, ...]:
        """What a person may choose from: `default`, rehearsal if that is what it means, and each configured model."""
        links = [Link(provider, model) for provider, model in self.settings.configured.items()]
        return tuple(dict.fromkeys([DEFAULT_MODEL, self.default.name, *(link.name for link in links)]))

    def provider(self, link: Link) -> ChatProvider:
        if link.provider == "rehearsal":
            return self._rehearsal
        if self._clients is None:
            # Two providers' SDKs take seconds to import; a company that rehearses does not wait for them.
            from mcp_servers.gateway.clients import Clients

            self._clients = Clients(self.settings)
        return self._clients.provider(link)

    async def close(self) -> None:
        """Closes the connections. The object cannot be used afterwards."""
        if self._clients is not None:
            await self._clients.close()
