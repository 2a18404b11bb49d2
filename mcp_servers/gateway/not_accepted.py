"""What a provider has against a request, in the words by which clients know it: some of them shorten it then, and ask again.

Nothing of a provider's own text goes on as it is: its code only if it is one of these, its sentence only without our secrets, without
what looks like anybody's, on one line, and not for long.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, cast

from pydantic_core import from_json

from mcp_servers.gateway.chat import ProviderFailed
from mcp_servers.monitor.redact import Redactor

TOO_LONG = "context_length_exceeded"
MOST_CHARACTERS = 240

#: Codes that go on as they are, with what each means.
CODES: Mapping[str, str] = {
    # CrewAI and LangChain look for the code in the message too.
    TOO_LONG: f"it is longer than the model's maximum context length ({TOO_LONG}); send less",
    "content_filter": "its content filter refuses what is said in it; say it otherwise",
    "content_policy_violation": "its content policy refuses what is said in it; say it otherwise",
    "invalid_image": "it cannot read an image of it",
    "invalid_image_format": "it cannot read an image's format",
    "invalid_image_url": "it cannot reach or read an image's address",
    "invalid_base64_image": "an image is no valid base64",
    "image_parse_error": "it cannot read an image of it",
    "image_too_large": "an image is too large",
    "image_too_small": "an image is too small",
    "unsupported_image_media_type": "it does not take images of that type",
    "unsupported_parameter": "the model does not take one of its parameters",
    "unsupported_value": "the model does not take a value of it",
    "invalid_value": "a value is not valid",
    "invalid_type": "a value is of the wrong type",
    "missing_required_parameter": "a parameter is missing",
    "invalid_function_parameters": "the schema of a tool is not valid",
    "invalid_json_schema": "the schema of the answer is not valid",
    "string_above_max_length": "a text is too long",
    "array_above_max_length": "a list is too long",
    "integer_above_max_value": "a number is too large",
}
#: How servers without that code say it: OpenAI and vLLM, Anthropic, llama.cpp, OpenAI's newer words, Google.
_TOO_LONG = re.compile(
    r"maximum context length|context length exceeded|context window|prompt is too long|input is too long|too many input tokens"
    r"|exceeds? the available context size|exceed_context_size|input tokens exceed|exceeds the maximum number of tokens"
    r"|exceed context limit",
    re.IGNORECASE,
)
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\s]+")


def not_accepted(name: str, status: int, body: str, secrets: Collection[str] | None) -> ProviderFailed:
    """The failure. `secrets`: what the text may hold of ours; None: nothing of its sentence is repeated."""
    code, sentence = _said(body)
    if code != TOO_LONG and _TOO_LONG.search(sentence or body):
        code = TOO_LONG
    known = CODES.get(code or "")
    text = f"{name} does not accept the request (HTTP {status})"
    text += f": {known}." if known else "."
    if sentence and secrets is not None:
        text += f" It says: {_safe(sentence, secrets)!r}"
    kind = "too_long" if code == TOO_LONG else "not_accepted"
    return ProviderFailed(text, kind, free=True, code=code if known else None)


def _said(body: str) -> tuple[str | None, str | None]:
    """The code and the sentence of an error answer of OpenAI's shape, or of one that is close to it."""
    try:
        found: Any = from_json(body)
    except ValueError:
        return None, None
    found = found[0] if isinstance(found, list) and found else found
    error: Any = cast("dict[str, Any]", found).get("error", found) if isinstance(found, dict) else None
    if isinstance(error, str):
        return None, error
    if not isinstance(error, dict):
        return None, None
    fields = cast("dict[str, Any]", error)
    codes = [one for one in (fields.get("code"), fields.get("type")) if isinstance(one, str)]
    message = fields.get("message")
    code = next((one for one in codes if one in CODES), None)
    return code, message if isinstance(message, str) else None


def _safe(sentence: str, secrets: Collection[str]) -> str:
    """On one line, without secrets; cut last, so that no half of a secret stays."""
    text = _UNSEEN.sub(" ", Redactor(lambda: secrets)(sentence)).strip()
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
