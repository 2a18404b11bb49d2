"""Which model a name means, and the provider that serves it. What is used is said openly: nothing stands in for a failed model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp_servers.gateway.chat import ChatProvider
from mcp_servers.gateway.grants import DEFAULT_MODEL
from mcp_servers.gateway.prices import Link, Prices, Provider, Rate, Tokens
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


@dataclass(frozen=True)
class ModelSettings:
    """What bootstrap found in the environment. Keys never appear in the representation.

    `prefer` chooses among what is configured; without it: the server at `base_url`, then Anthropic, then OpenAI, then rehearsal.
    """

    openai_api_key: str | None = field(default=None, repr=False)
    anthropic_api_key: str | None = field(default=None, repr=False)
    #: An OpenAI-compatible server, with its path (`http://127.0.0.1:11434/v1`).
    base_url: str | None = None
    base_url_model: str = "default"
    base_url_api_key: str | None = field(default=None, repr=False)
    #: US dollars for a million tokens at `base_url`, if it is neither own hardware nor listed.
    price_per_million: Rate | None = None
    openai_model: str = "gpt-5-mini"
    anthropic_model: str = "claude-sonnet-5-5"
    prefer: Provider | None = None
    openai_url: str = "https://api.openai.com/v1"
    anthropic_url: str = "https://api.anthropic.com"
    timeout_seconds: float = 120.0

    @property
    def configured(self) -> Mapping[Provider, str]:
        """The model of each provider that can be reached, best first."""
        found: dict[Provider, str] = {}
        if self.base_url:
            found["local"] = self.base_url_model
        if self.anthropic_api_key:
            found["anthropic"] = self.anthropic_model
        if self.openai_api_key:
            found["openai"] = self.openai_model
        return found


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
