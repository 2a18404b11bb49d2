"""When people are told of what. Pure: rows in, a decision out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from memory.watching import Cause, Standing
from policies.watch import AlertLaw

HOUR = timedelta(hours=1)
#: How many causes one message spells out; the rest it counts.
SPELLED_OUT = 8
_LONGEST_TEXT = 600


def due(
    rows: Sequence[Standing], messages_this_hour: int, law: AlertLaw, now: datetime, seen_at: datetime
) -> list[Cause]:
    """The causes to tell of now, in one message; none while the hour is full.

    A cause is told when it is new, when it still stands `again_after_hours` later, or when telling reached nobody a while ago. One
    that was not there when last looked (`seen_at`) is not told.
    """
    if messages_this_hour >= law.at_most_an_hour:
        return []
    again, retry = timedelta(hours=law.again_after_hours), timedelta(minutes=law.retry_after_minutes)
    chosen = [
        row
        for row in rows
        if row.seen_at >= seen_at
        and (row.told_at is None or now - row.told_at >= (retry if (row.outcome or "").startswith("failed") else again))
    ]
    return [Cause(row.cause, row.level, row.title, row.text) for row in chosen]


@dataclass(frozen=True)
class Message:
    title: str
    body: str


def message(causes: Sequence[Cause], address: str) -> Message:
    """All causes in one message. `address`: where the company is looked at."""
    bad = any(cause.level == "critical" for cause in causes)
    mark = "critical" if bad else "attention"
    title = causes[0].title if len(causes) == 1 else f"{len(causes)} things want a look"
    lines = [f"- {cause.title}: {cause.text[:_LONGEST_TEXT]}" for cause in causes[:SPELLED_OUT]]
    if len(causes) > SPELLED_OUT:
        lines.append(f"- and {len(causes) - SPELLED_OUT} more")
    return Message(f"[ElfAutomations, {mark}] {title}", "\n".join([*lines, "", f"./elf health, or {address}"]))
