"""Where a provider is reached and with which key, or what is missing for that: the law's names and the environment's secrets.

Three providers need the environment alone (`local`, `anthropic`, `openai`); the others are named in `policies/models.yaml`, and get
the one key that is theirs by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mcp_servers.gateway.langchain_classes import missing_class
from mcp_servers.gateway.model_settings import ModelSettings
from policies.providers import BUILT_IN, NamedProvider, is_own_hardware, key_variable

LimitField = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True)
class Endpoint:
    """What a client is made from. `model` is what the provider's name alone means; the key never appears in the representation."""

    provider: str
    model: str
    #: None: where LangChain's class goes by itself.
    url: str | None
    key: str | None = field(repr=False)
    #: LangChain's name of the provider; None: OpenAI's wire.
    langchain: str | None = None
    limit_field: LimitField = "max_tokens"

    @property
    def direct(self) -> bool:
        """Whether no proxy of the environment stands between: on our own hardware."""
        return self.url is not None and is_own_hardware(self.url)


@dataclass(frozen=True)
class Missing:
    """Why a provider that somebody named cannot be used, and what a person can do."""

    why: str


Named = Mapping[str, NamedProvider]


def endpoint(provider: str, settings: ModelSettings, named: Named) -> Endpoint | Missing | None:
    """None: there is no provider of that name."""
    if provider in BUILT_IN:
        return _BUILT_IN[provider](settings)
    found = named.get(provider)
    return None if found is None else _named(provider, found, settings.provider_keys.get(key_variable(provider)))


def configured(settings: ModelSettings, named: Named) -> list[Endpoint]:
    """All that can be used."""
    found = (endpoint(provider, settings, named) for provider in (*BUILT_IN, *named))
    return [one for one in found if isinstance(one, Endpoint)]


def is_real(settings: ModelSettings, named: Named) -> bool:
    """Whether anybody set up a real model here, be it that a package is missing yet: then the rehearsal model never answers for it."""
    keys = settings.provider_keys
    wanted = any(not law.wants_key or key_variable(name) in keys for name, law in named.items())
    return wanted or bool(configured(settings, {}))


def _local(settings: ModelSettings) -> Endpoint | Missing:
    if not settings.base_url:
        return Missing("ELF_MODEL_BASE_URL is not set")
    return Endpoint("local", settings.base_url_model, settings.base_url, settings.base_url_api_key)


def _anthropic(settings: ModelSettings) -> Endpoint | Missing:
    if not settings.anthropic_api_key:
        return Missing("ANTHROPIC_API_KEY is not set")
    model, url, key = settings.anthropic_model, settings.anthropic_url, settings.anthropic_api_key
    return Endpoint("anthropic", model, url, key, langchain="anthropic")


def _openai(settings: ModelSettings) -> Endpoint | Missing:
    if not settings.openai_api_key:
        return Missing("OPENAI_API_KEY is not set")
    model, url, key = settings.openai_model, settings.openai_url, settings.openai_api_key
    return Endpoint("openai", model, url, key, limit_field="max_completion_tokens")


_BUILT_IN: Mapping[str, Callable[[ModelSettings], Endpoint | Missing]] = {
    "local": _local,
    "anthropic": _anthropic,
    "openai": _openai,
}


def _named(provider: str, law: NamedProvider, key: str | None) -> Endpoint | Missing:
    if key is None and law.wants_key:
        return Missing(f"{key_variable(provider)} is not set")
    if law.langchain and (why := missing_class(law.langchain)):
        return Missing(why)
    return Endpoint(provider, law.model, law.url, key, law.langchain, law.limit_field)
