"""Anthropic's models by way of LangChain, which knows how to say in Anthropic's wire what came in OpenAI's."""

from __future__ import annotations

from functools import cached_property

import anthropic
from langchain_anthropic import ChatAnthropic
from pydantic import SecretStr

from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.prices import Link
from mcp_servers.gateway.providers import LangChainProvider


class OwnAnthropic(ChatAnthropic):
    """With a client of its own, which can be closed; LangChain shares one a process, bound to the first event loop."""

    @cached_property
    def _async_client(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(**self._client_params)

    async def close(self) -> None:
        await self._async_client.close()


def anthropic_client(settings: ModelSettings, link: Link) -> tuple[OwnAnthropic, LangChainProvider]:
    """The model, to be closed, and the provider that asks it."""
    model = OwnAnthropic(
        model_name=link.model,
        api_key=SecretStr(settings.anthropic_api_key or ""),
        base_url=settings.anthropic_url,
        timeout=settings.timeout_seconds,
        max_retries=0,
        stop=None,
    )
    return model, LangChainProvider(model, link.name)
