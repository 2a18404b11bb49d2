"""The one way the gateway says no. Each protocol's face turns it into its own error shape."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

Code = Literal[
    "unauthenticated",  # who are you? The same words for every bad token
    "not_allowed",  # known, but not granted; the message names the rule
    "over_budget",  # not enough money left; `opens_at` says when again
    "rate_limited",  # too often in a minute; `opens_at` says when again
    "overloaded",  # too much is under way, or the machine is out of memory; `opens_at` says when to come again
    "price_unknown",  # nobody knows what it would cost, so it is not made
    "bad_request",  # the request itself is wrong
    "not_found",
    "upstream_failed",  # a provider, server or team answered with an error, or could not be reached
    "timeout",
]


class Refused(Exception):
    """A call that is not made, or that failed, with one sentence for the caller that says what to do."""

    def __init__(
        self,
        code: Code,
        message: str,
        opens_at: datetime | None = None,
        param: str | None = None,
        word: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
        #: When it may be tried again, where that is known.
        self.opens_at = opens_at
        #: The field of the request that is wrong.
        self.param = param
        #: The reason in the one word by which a protocol's clients know it, where it has one that says more than the code.
        self.word = word


def retry_after(refused: Refused, now: datetime) -> int | None:
    """Whole seconds until it may be tried again, at least 1."""
    return None if refused.opens_at is None else max(1, int((refused.opens_at - now).total_seconds()))
