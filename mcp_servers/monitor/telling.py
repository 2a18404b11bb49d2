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
#: Causes that are over when somebody or something mended them.
_FAULTS = ("incident:", "circuit:", "quarantine:", "resource:", "ledger")


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


def over(rows: Sequence[Standing], law: AlertLaw, now: datetime) -> list[Standing]:
    """Those of the cleared causes of which people are told now that they are over.

    Only what somebody was really told of, and only faults: a budget's day ends by itself, and who decided on a change knows it.
    """
    retry = timedelta(minutes=law.retry_after_minutes)

    def is_due(row: Standing) -> bool:
        outcome = row.outcome or ""
        if row.over_told_at is None:
            return outcome.startswith("sent")
        return outcome.startswith("failed") and now - row.over_told_at >= retry

    return [row for row in rows if row.cause.startswith(_FAULTS) and not row.cause.endswith(":held") and is_due(row)]


@dataclass(frozen=True)
class Message:
    title: str
    body: str


def message(causes: Sequence[Cause], ended: Sequence[Standing], address: str) -> Message:
    """All causes, and all that are over, in one message. `address`: where the company is looked at."""
    mark = "critical" if any(cause.level == "critical" for cause in causes) else "attention" if causes else "over"
    titles = [cause.title for cause in causes] or [f"Over: {row.title}" for row in ended]
    title = titles[0] if len(titles) == 1 else f"{len(titles)} things {'want a look' if causes else 'are over'}"
    lines = [f"- {cause.title}: {cause.text[:_LONGEST_TEXT]}" for cause in causes]
    lines += [f"- Over: {row.title} (from {row.since:%H:%M} to {row.seen_at:%H:%M} UTC)" for row in ended]
    if len(lines) > SPELLED_OUT:
        lines[SPELLED_OUT:] = [f"- and {len(lines) - SPELLED_OUT} more"]
    return Message(f"[ElfAutomations, {mark}] {title}", "\n".join([*lines, "", f"./elf health, or {address}"]))
