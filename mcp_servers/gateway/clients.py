"""One client a model: connections and TLS contexts are shared between calls. The one place that names the providers' SDKs."""

from __future__ import annotations

import ssl
from functools import cached_property
from typing import Any, Literal

import anthropic
import httpx
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import SecretStr

from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.prices import Link, is_own_hardware
from mcp_servers.gateway.providers import LangChainProvider

CONNECT_SECONDS = 10.0


class _OwnAnthropic(ChatAnthropic):
    """With a client of its own, which can be closed; LangChain shares one a process, bound to the first event loop."""

    @cached_property
    def _async_client(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(**self._client_params)

    async def close(self) -> None:
        await self._async_client.close()


class Clients:
    """Made when first asked for, closed together."""

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self._clients: dict[Link, LangChainProvider] = {}
        self._anthropic: list[_OwnAnthropic] = []
        self._http: dict[bool, tuple[httpx.Client, httpx.AsyncClient]] = {}

    def provider(self, link: Link) -> LangChainProvider:
        """The client of a link that is not the rehearsal."""
        if link not in self._clients:
            wire: Literal["openai", "anthropic"] = "anthropic" if link.provider == "anthropic" else "openai"
            self._clients[link] = LangChainProvider(self._chat_model(link), wire, link.name)
        return self._clients[link]

    async def close(self) -> None:
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
