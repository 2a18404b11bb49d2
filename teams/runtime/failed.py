"""What a sender is told of work that failed: short, safe and of use. All of it is in the team's own log. Pure.

An exception's own text is never shown: frameworks put whole prompts into it. What the gateway said is, for its sentences are written
for whoever reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from teams.runtime.gateway_client import GatewayError

MOST_CHARACTERS = 500


def sentence(error: BaseException, team: str, run: str) -> str:
    """Why the work failed, in a sentence or two, and where to read the rest."""
    said = next((words for cause in _causes(error) if (words := _of_the_gateway(cause))), None)
    why = f"The work failed: {_short(said)}" if said else f"The work failed inside the team ({type(error).__name__})."
    return f"{why} The whole of it is in teams/{team}/diagnostics.log in the company's home, under run {run}."


def _of_the_gateway(error: BaseException) -> str | None:
    """The gateway's sentence in an error of ours, or in one of an OpenAI client (known by what it has: no team loads every SDK)."""
    if isinstance(error, GatewayError):
        return str(error)
    body: Any = getattr(error, "body", None)
    if not isinstance(getattr(error, "status_code", None), int) or not isinstance(body, dict):
        return None
    message = cast("dict[str, Any]", body).get("message")
    return message if isinstance(message, str) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        left += [cause for cause in (one.__cause__, one.__context__) if cause is not None]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]}…"
