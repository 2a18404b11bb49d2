"""What bootstrap found in the environment about models and their providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcp_servers.gateway.prices import Rate


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
    #: Keys of providers that `policies/models.yaml` names, by their variable (`policies.providers.key_variable`).
    provider_keys: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    #: No request takes longer, whatever the law's deadline.
    timeout_seconds: float = 120.0
