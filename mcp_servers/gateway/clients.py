"""One client a model: connections and TLS contexts are shared between calls. No client here retries anything by itself."""

from __future__ import annotations

import ssl
from functools import cached_property
from typing import TYPE_CHECKING

import aiohttp

from mcp_servers.gateway.chat import ChatProvider
from mcp_servers.gateway.endpoints import Endpoint
from mcp_servers.gateway.openai_provider import OpenAIProvider, Server

if TYPE_CHECKING:
    from mcp_servers.gateway.langchain_provider import LangChainProvider

CONNECT_SECONDS = 10.0


class Clients:
    """Made when first asked for, closed together. An address or a key that the law or a restart changed is another client."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout = timeout_seconds
        self._openai: dict[tuple[Endpoint, str], OpenAIProvider] = {}
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._langchain: dict[tuple[Endpoint, str], LangChainProvider] = {}

    def provider(self, endpoint: Endpoint, model: str) -> ChatProvider:
        """The client for one model there."""
        return self.embedder(endpoint, model) if endpoint.langchain is None else self._by_langchain(endpoint, model)

    def load(self, endpoint: Endpoint, model: str) -> None:
        """Imports what asking it takes. Blocking. Raises `ProviderFailed`."""
        if endpoint.langchain is not None:
            self._by_langchain(endpoint, model).load()

    def embedder(self, endpoint: Endpoint, model: str) -> OpenAIProvider:
        """The client for one model of an endpoint that speaks OpenAI's wire."""
        if (endpoint, model) not in self._openai:
            made = OpenAIProvider(self._server(endpoint), model, f"{endpoint.provider}/{model}")
            self._openai[endpoint, model] = made
        return self._openai[endpoint, model]

    def _by_langchain(self, endpoint: Endpoint, model: str) -> LangChainProvider:
        if (endpoint, model) not in self._langchain:
            # LangChain takes a second to import: only who uses it waits for it.
            from mcp_servers.gateway.langchain_provider import LangChainProvider

            made = LangChainProvider(endpoint, model, f"{endpoint.provider}/{model}", self._timeout)
            self._langchain[endpoint, model] = made
        return self._langchain[endpoint, model]

    async def close(self) -> None:
        for provider in self._langchain.values():
            await provider.close()
        for session in self._sessions.values():
            await session.close()
        self._langchain.clear()
        self._openai.clear()
        self._sessions.clear()

    def _server(self, endpoint: Endpoint) -> Server:
        # No proxy of the environment stands between us and our own hardware.
        direct = endpoint.direct
        return Server(
            endpoint.url or "", endpoint.key or "none", endpoint.limit_field, lambda: self._session(direct=direct)
        )

    def _session(self, *, direct: bool) -> aiohttp.ClientSession:
        """Made inside the running event loop, which it belongs to."""
        if direct not in self._sessions:
            timeout = aiohttp.ClientTimeout(total=self._timeout, sock_connect=CONNECT_SECONDS)
            connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
            jar = aiohttp.DummyCookieJar()
            self._sessions[direct] = aiohttp.ClientSession(
                connector=connector, timeout=timeout, cookie_jar=jar, trust_env=not direct
            )
        return self._sessions[direct]

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """One context for all clients: each costs 18 ms to build."""
        return ssl.create_default_context()
