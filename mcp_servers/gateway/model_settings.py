"""What bootstrap found in the environment about models and their providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcp_servers.gateway.prices import Provider, Rate


@dataclass(frozen=True)
class ModelSettings:
    """What bootstrap found in the environment. Keys never appear in the representation.

    Which of it is used, and in which order, is not said here but in `policies/models.yaml`.
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
    openai_url: str = "https://api.openai.com/v1"
    anthropic_url: str = "https://api.anthropic.com"
    #: No request takes longer, whatever the law's deadline.
    timeout_seconds: float = 120.0

    @property
    def configured(self) -> Mapping[Provider, str]:
        """The model of each provider that can be reached."""
        found: dict[Provider, str] = {}
        if self.base_url:
            found["local"] = self.base_url_model
        if self.anthropic_api_key:
            found["anthropic"] = self.anthropic_model
        if self.openai_api_key:
            found["openai"] = self.openai_model
        return found
