"""How LangChain's classes are asked, where one differs from the standard names that LangChain gives to what they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: OpenAI's `response_format` as options of a call.
Format = Callable[[Mapping[str, Any]], dict[str, Any]]


def _never(_error: Exception) -> bool:
    return False


@dataclass(frozen=True)
class Dialect:
    """The defaults are LangChain's standard."""

    #: What the class is made with so that it asks once. A class that lacks one of these settings is not used.
    once: Mapping[str, Any] = field(default_factory=lambda: {"max_retries": 0})
    #: The setting that bounds the answer: without it no budget would bind.
    most_tokens: str = "max_tokens"
    #: None: an answer in a wanted form is asked for as the one tool to call.
    formatted: Format | None = None
    #: Fields of a request that go on as options of the call.
    passed_on: frozenset[str] = frozenset()
    #: How "call none of these tools" is said; None: by leaving the tools out.
    no_tool: Mapping[str, Any] | None = None
    #: Whether an error says, before anything was sent, that this model takes no sampling hints.
    refuses_sampling: Callable[[Exception], bool] = _never
    #: Makes the model (`model`, then options); None: `init_chat_model`.
    make: Callable[..., Any] | None = None


def dialect_of(langchain: str) -> Dialect:
    if langchain == "anthropic":
        # Its SDK takes a second to import: only who uses it waits for it.
        from mcp_servers.gateway.anthropic_model import ANTHROPIC

        return ANTHROPIC
    return DIALECTS.get(langchain, _STANDARD)


def schema_of(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON Schema of a `response_format`."""
    return wanted["json_schema"]["schema"] if wanted["type"] == "json_schema" else {"type": "object"}


def _for_google(wanted: Mapping[str, Any]) -> dict[str, Any]:
    schema = {"response_json_schema": schema_of(wanted)} if wanted["type"] == "json_schema" else {}
    return {"response_mime_type": "application/json"} | schema


_STANDARD = Dialect()
#: Their wire is OpenAI's kin, and they say a form as it does.
_OPENAIS_KIN = Dialect(
    formatted=lambda wanted: {"response_format": dict(wanted)}, passed_on=frozenset({"parallel_tool_calls"})
)
#: Built on LangChain's class for OpenAI. Its SDK would read an answer in a form by itself, and refuse tools that are not strict.
_BY_OPENAIS_SDK = Dialect(
    formatted=lambda wanted: {"extra_body": {"response_format": dict(wanted)}},
    passed_on=frozenset({"parallel_tool_calls"}),
)
DIALECTS: Mapping[str, Dialect] = {
    # 0 means the SDK's own five there, 1 the first try alone.
    "google_genai": Dialect(once={"max_retries": 1}, formatted=_for_google),
    # Its client knows no retries.
    "ollama": Dialect(
        once={},
        most_tokens="num_predict",
        formatted=lambda wanted: {"format": schema_of(wanted) if wanted["type"] == "json_schema" else "json"},
    ),
    **dict.fromkeys(("fireworks", "groq", "mistralai", "openrouter"), _OPENAIS_KIN),
    **dict.fromkeys(("azure_openai", "deepseek", "openai", "together", "upstage", "xai"), _BY_OPENAIS_SDK),
}
