"""What providers' error answers and reasons to end mean, whatever their wire."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_servers.gateway.chat import Failure, FinishReason, ProviderFailed

FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    # Mistral, Google and Amazon, in lower case.
    "model_length": "length",
    "safety": "content_filter",
    "prohibited_content": "content_filter",
    "blocklist": "content_filter",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


def status_failure(name: str, status: int, body: str) -> ProviderFailed:
    """What an error answer means. Providers say with 429 both that calls come too fast and that the money is gone."""
    kind: Failure = "not_accepted"
    if status in (401, 403):
        kind = "key_refused"
    elif status == 402 or (status == 429 and any(word in body for word in _NO_MONEY)):
        kind = "quota"
    elif status == 404:
        kind = "no_such_model"
    elif status == 429:
        kind = "rate_limit"
    elif status == 408 or status >= 500:
        kind = "outage"
    return ProviderFailed(f"{name} {_SAID[kind]} (HTTP {status}).", kind, free=True)


_NO_MONEY = ("insufficient_quota", "billing", "credit balance")
_SAID: Mapping[Failure, str] = {
    "key_refused": "refuses our key; a person must check it",
    "quota": "says that our quota or rate limit there is used up; a person must top it up",
    "no_such_model": "does not know that model",
    "rate_limit": "says that its own quota or rate limit is used up; ask again later",
    "outage": "is failing; ask again later",
    "not_accepted": "does not accept the request",
}
