"""A circuit breaker for each link: a provider that keeps failing is left alone for a while, and nobody waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from mcp_servers.gateway.prices import Link
from mcp_servers.gateway.refusals import Refused
from teams.resilience.breaker import Circuit, CircuitBreaker, Limits

#: How long it counts that a link failed, after it might have been tried again and nobody called.
UNTRIED = timedelta(hours=1)
#: Answers that say nothing against the provider.
_ANSWERED = ("ok", "unmetered", "not_accepted", "too_long")
#: The caller went away; how the provider would have done is not known.
_UNKNOWN = ("gone",)


class CircuitLaw(Protocol):
    """See `policies.models.Circuit`."""

    @property
    def failures(self) -> int: ...
    @property
    def seconds(self) -> float: ...


class Circuits:
    """Threads may share it. Our own models (rehearsal, lexical) have none. A restart reads it from the ledger (see `recalled`)."""

    def __init__(self) -> None:
        self._breakers: dict[Link, CircuitBreaker] = {}

    def check(self, link: Link, law: CircuitLaw, now: datetime) -> None:
        """Raises `Refused` (upstream_failed) while the link is left alone. After a yes, say how it `ended` or was `abandoned`."""
        if link.ours:
            return
        breaker = self._breaker(link, law)
        if breaker.allow(now):
            return
        when = f"; it is tried again from {breaker.opens_at:%H:%M:%S} UTC on" if breaker.opens_at else ""
        raise Refused("upstream_failed", f"{link.name} failed too often and is left alone{when}.", breaker.opens_at)

    def closed_for(self, links: Sequence[Link], law: CircuitLaw, now: datetime) -> timedelta | None:
        """How long all of these links are left alone yet, if nothing changes; None: one may be asked now. Takes no trial."""
        left: list[timedelta] = []
        for link in links:
            opens_at = self._breaker(link, law).opens_at if not link.ours else None
            if opens_at is None or opens_at <= now:
                return None
            left.append(opens_at - now)
        return min(left, default=None)

    def alone(self, now: datetime) -> dict[str, tuple[int, datetime]]:
        """Links that failed too often: how often each did in a row, and until when it is left alone; where that is past, the next
        call tries it.

        One that nobody has tried for an hour since is not known to fail any more, and is left out.
        """
        return {
            link.name: (breaker.state.failures, opens_at)
            for link, breaker in list(self._breakers.items())
            if breaker.state.circuit is not Circuit.CLOSED
            and (opens_at := breaker.opens_at) is not None
            and opens_at > now - UNTRIED
        }

    def ended(self, link: Link, law: CircuitLaw, outcome: str, now: datetime) -> None:
        """A call that was allowed has ended so."""
        if link.ours:
            return
        breaker = self._breaker(link, law)
        if outcome in _ANSWERED:
            breaker.success(now)
        elif outcome in _UNKNOWN:
            breaker.abandoned(now)
        else:
            breaker.failure(now)

    def abandoned(self, link: Link, now: datetime) -> None:
        """A call that was allowed was not made."""
        if link in self._breakers:
            self._breakers[link].abandoned(now)

    def _breaker(self, link: Link, law: CircuitLaw) -> CircuitBreaker:
        breaker = self._breakers.get(link)
        if breaker is None:
            breaker = self._breakers.setdefault(link, CircuitBreaker(link.name))
        breaker.limits = Limits(law.failures, timedelta(seconds=law.seconds))
        return breaker
