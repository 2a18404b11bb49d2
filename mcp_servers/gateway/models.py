"""Which model a name means, and the provider that serves it. What is used is said openly: nothing stands in for a failed model."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import anthropic
import httpx
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import SecretStr

from mcp_servers.gateway.chat import ChatProvider
from mcp_servers.gateway.grants import DEFAULT_MODEL
from mcp_servers.gateway.prices import Link, Prices, Provider, Rate, Tokens, is_own_hardware
from mcp_servers.gateway.providers import LangChainProvider, RehearsalProvider
from mcp_servers.gateway.refusals import Refused

REHEARSAL = Link("rehearsal", "rehearsal")
CONNECT_SECONDS = 10.0

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


class _OwnAnthropic(ChatAnthropic):
    """With a client of its own, which can be closed; LangChain shares one a process, bound to the first event loop."""

    @cached_property
    def _async_client(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(**self._client_params)

    async def close(self) -> None:
        await self._async_client.close()


class Models:
    """Resolves names and keeps one client a model: connections and TLS contexts are shared between calls."""

    def __init__(self, settings: ModelSettings, rehearsal: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        self.settings = settings
        self._rehearsal = RehearsalProvider(rehearsal)
        self._clients: dict[Link, LangChainProvider] = {}
        self._anthropic: list[_OwnAnthropic] = []
        self._http: dict[bool, tuple[httpx.Client, httpx.AsyncClient]] = {}

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
        if link not in self._clients:
            wire: Literal["openai", "anthropic"] = "anthropic" if link.provider == "anthropic" else "openai"
            self._clients[link] = LangChainProvider(self._chat_model(link), wire, link.name)
        return self._clients[link]

    async def close(self) -> None:
        """Closes the connections. The object cannot be used afterwards."""
        for anthropic_model in self._anthropic:
            await anthropic_model.close()
        for client, async_client in self._http.values():
            client.close()
            await async_client.aclose()
        self._clients.clear()
        self._anthropic.clear()
        self._http.clear()

    def _chat_model(self, link: Link) -> BaseChatModel:
        settings = self.settings
        if link.provider == "anthropic":
            model = _OwnAnthropic(
                model_name=link.model,
                api_key=SecretStr(settings.anthropic_api_key or ""),
                base_url=settings.anthropic_url,
                timeout=settings.timeout_seconds,
                max_retries=0,
                stop=None,
            )
            self._anthropic.append(model)
            return model
        if link.provider == "openai":
            return ChatOpenAI(
                model=link.model,
                api_key=SecretStr(settings.openai_api_key or ""),
                base_url=settings.openai_url,
                use_responses_api=False,
                **self._openai_clients(direct=False),
            )
        # The base class sends `max_tokens`, which every compatible server knows; `max_completion_tokens` not all do.
        return BaseChatOpenAI(
            model=link.model,
            api_key=SecretStr(settings.base_url_api_key or "none"),
            base_url=settings.base_url,
            use_responses_api=False,
            **self._openai_clients(direct=is_own_hardware(settings.base_url or "")),
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """One context for all clients: each costs 18 ms to build."""
        return ssl.create_default_context()

    def _openai_clients(self, *, direct: bool) -> dict[str, Any]:
        """Client arguments. `direct`: no proxy of the environment stands between us and our own hardware."""
        seconds = self.settings.timeout_seconds
        if direct not in self._http:
            timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
            options: dict[str, Any] = {"timeout": timeout, "verify": self._tls, "trust_env": not direct}
            self._http[direct] = (httpx.Client(**options), httpx.AsyncClient(**options))
        client, async_client = self._http[direct]
        return {
            "http_client": client,
            "http_async_client": async_client,
            "timeout": seconds,
            "max_retries": 0,
            "stream_usage": True,
        }
