"""The law's rates as the places of changes know them: which rooms a change of a kind has to find a place in."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from memory.slots import Room
from policies.facts import Kind
from policies.law import Limits, Rate

#: Slots are read back so far, so that a replay under another law's window finds them in the facts.
READ_BACK = timedelta(days=32)
#: But no more than so many that this law's own rates have no use for.
MOST_READ_BACK = 500


def rooms_of(limits: Limits, kind: Kind, requester: str, now: datetime) -> list[Room]:
    """Every room that a change of this kind by this requester takes a place in; none where nothing is limited."""
    return [
        _room(name, kinds, rate, requester, now)
        for name, (kinds, rate) in limits.rates_of(kind).items()
        if rate.at_most is not None and requester not in rate.exempt
    ]


def is_counted(limits: Limits, kind: Kind, requester: str) -> bool:
    """Whether some rate counts this kind, so that its change takes a place when it is proposed."""
    return any(requester not in rate.exempt for _, rate in limits.rates_of(kind).values())


def since(limits: Limits, now: datetime) -> datetime:
    """How far back consumed slots matter to any of the law's rates."""
    rates = [limits.new_teams, *limits.rates.values()]
    cooldowns = [timedelta(seconds=rate.cooldown_seconds or 0) for rate in rates]
    return min([*(now - it for it in cooldowns), *(rate.since(now) for rate in rates)])


def _room(name: str, kinds: tuple[Kind, ...], rate: Rate, requester: str, now: datetime) -> Room:
    return Room(
        name=name,
        at_most=rate.at_most or 0,
        kinds=tuple(kind.value for kind in kinds),
        since=rate.since(now),
        frees=partial(rate.frees, now=now),
        requester=requester if rate.per == "requester" else None,
        open_ones=rate.counts == "merged_and_open",
        exempt=rate.exempt,
    )
