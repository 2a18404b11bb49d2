"""What is special about Anthropic among LangChain's chat models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import anthropic
from langchain_anthropic import ChatAnthropic

from mcp_servers.gateway.langchain_dialects import Dialect, schema_of


class OwnAnthropic(ChatAnthropic):
    """With a client of its own, which can be closed; LangChain shares one a process, bound to the first event loop."""

    @cached_property
    def _async_client(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(**self._client_params)

    def keep_client(self) -> None:
        """Makes the client now: copies of this model share it."""
        _ = self._async_client

    async def aclose(self) -> None:
        await self._async_client.close()


def _made(model: str, **options: Any) -> OwnAnthropic:
    made = OwnAnthropic(model_name=model, **options)
    made.keep_client()
    return made


def _formatted(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"schema": schema_of(wanted)}}}


def _refuses_sampling(error: Exception) -> bool:
    return isinstance(error, ValueError) and "is not supported for" in str(error)


ANTHROPIC = Dialect(
    formatted=_formatted,
    passed_on=frozenset({"parallel_tool_calls", "reasoning_effort"}),
    no_tool={"type": "none"},
    refuses_sampling=_refuses_sampling,
    make=_made,
)
