"""Brings running teams new tokens before the old ones end.

The kernel comes to the team, with the inbound token that only the kernel has. A team cannot ask for tokens: one that was fooled
into giving its own away has given away an hour, not the right to renew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx

#: A renewal that failed is tried again after this.
TRY_AGAIN = timedelta(seconds=5)
_TIMEOUT_S = 2.0


class NotRenewed(Exception):
    """The team did not take the tokens; the text says why."""


async def bring_tokens(client: httpx.AsyncClient, address: str, inbound_token: str, tokens: Mapping[str, str]) -> None:
    """Gives the team's process these tokens in place of its present ones. Raises `NotRenewed`."""
    try:
        answer = await client.post(
            f"{address}/control/tokens",
            json={"tokens": dict(tokens)},
            headers={"Authorization": f"Bearer {inbound_token}"},
            timeout=_TIMEOUT_S,
        )
    except httpx.HTTPError as error:
        raise NotRenewed(f"{type(error).__name__}: {error}") from error
    if answer.status_code != 204:
        raise NotRenewed(f"it answered {answer.status_code}")


@dataclass
class RenewalLog:
    """When each deployment's tokens were issued, and when renewing them last failed."""

    _issued: dict[str, datetime] = field(default_factory=dict[str, datetime])
    _failed: dict[str, datetime] = field(default_factory=dict[str, datetime])

    def issued(self, deployment_id: str, at: datetime) -> None:
        self._issued[deployment_id] = at
        self._failed.pop(deployment_id, None)

    def failed(self, deployment_id: str, at: datetime) -> None:
        self._failed[deployment_id] = at

    def forget(self, deployment_id: str) -> None:
        self._issued.pop(deployment_id, None)
        self._failed.pop(deployment_id, None)

    def issued_at(self, deployment_id: str) -> datetime | None:
        """None for a deployment that an earlier kernel started."""
        return self._issued.get(deployment_id)

    def is_failing(self, deployment_id: str) -> bool:
        return deployment_id in self._failed

    def may_try(self, deployment_id: str, now: datetime) -> bool:
        last = self._failed.get(deployment_id)
        return last is None or not timedelta(0) <= now - last < TRY_AGAIN
