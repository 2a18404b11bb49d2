"""One client a model: connections and TLS contexts are shared between calls. No client here retries anything by itself."""

from __future__ import annotations

import ssl
from functools import cached_property
from typing import TYPE_CHECKING

import aiohttp

from mcp_servers.gateway.chat import ChatProvider
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.openai_provider import OpenAIProvider, Server
from mcp_servers.gateway.prices import Link, is_own_hardware

if TYPE_CHECKING:
    from mcp_servers.gateway.anthropic_client import OwnAnthropic

CONNECT_SECONDS = 10.0


class Clients:
    """Made when first asked for, closed together."""

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self._openai: dict[Link, OpenAIProvider] = {}
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._anthropic: dict[Link, tuple[OwnAnthropic, ChatProvider]] = {}

    def provider(self, link: Link) -> ChatProvider:
        """The client of a link that is not the rehearsal."""
        return self._anthropic_client(link) if link.provider == "anthropic" else self.embedder(link)

    def embedder(self, link: Link) -> OpenAIProvider:
        """The client of a link that speaks OpenAI's wire."""
        if link not in self._openai:
            self._openai[link] = OpenAIProvider(self._server(link), link.model, link.name)
        return self._openai[link]

    async def close(self) -> None:
        for model, _ in self._anthropic.values():
            await model.close()
        for session in self._sessions.values():
            await session.close()
        self._anthropic.clear()
        self._openai.clear()
        self._sessions.clear()

    def _server(self, link: Link) -> Server:
        settings = self.settings
        if link.provider == "openai":
            url, key = settings.openai_url, settings.openai_api_key or ""
            return Server(url, key, "max_completion_tokens", lambda: self._session(direct=False))
        # No proxy of the environment stands between us and our own hardware.
        url, direct = settings.base_url or "", is_own_hardware(settings.base_url or "")
        key = settings.base_url_api_key or "none"
        return Server(url, key, "max_tokens", lambda: self._session(direct=direct))

    def _session(self, *, direct: bool) -> aiohttp.ClientSession:
        """Made inside the running event loop, which it belongs to."""
        if direct not in self._sessions:
            timeout = aiohttp.ClientTimeout(total=self.settings.timeout_seconds, sock_connect=CONNECT_SECONDS)
            connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
            jar = aiohttp.DummyCookieJar()
            self._sessions[direct] = aiohttp.ClientSession(
                connector=connector, timeout=timeout, cookie_jar=jar, trust_env=not direct
            )
        return self._sessions[direct]

    def _anthropic_client(self, link: Link) -> ChatProvider:
        if link not in self._anthropic:
            # LangChain and Anthropic's SDK take seconds to import: only who uses them waits for them.
            from mcp_servers.gateway.anthropic_client import anthropic_client

            self._anthropic[link] = anthropic_client(self.settings, link)
        return self._anthropic[link][1]

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """One context for all clients: each costs 18 ms to build."""
        return ssl.create_default_context()
