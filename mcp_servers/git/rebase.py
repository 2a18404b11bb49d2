"""Brings the bot's own proposals up to date: the same wish, made again on today's target, where only age bars it.

Of several the oldest goes first, since its merge may outdate the others. Three tries; then a person decides. A branch that somebody
else has committed to is theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from mcp_servers.git.changes import Change, Changes, HandsOff, Refused
from mcp_servers.git.factory import Factory
from mcp_servers.git.merge_desk import MergeDesk
from mcp_servers.git.proposal_of import proposal_of
from mcp_servers.git.repository import Repository
from memory import changes as remembered
from memory import ledger
from memory.changes import Intent
from memory.session import Database
from policies.verdict import Outcome, Verdict

#: Rules whose no can become a yes by making the same files again on today's target, with today's factory.
AGE = frozenset({"mergeable", "history", "reports", "rerender", "server_rerender"})
TRIES = 3
MARKER = "rebase"
ACTOR = "kernel:merge-desk"


@dataclass(frozen=True)
class Rebased:
    """What became of one outdated proposal."""

    number: int
    outcome: Literal["rebased", "needs-rebase", "hands-off"]
    head: str


@dataclass
class Rebase:
    """`changes` acts as the proposer."""

    changes: Changes
    desk: MergeDesk
    repository: Repository
    database: Database
    factory: Factory
    now: Callable[[], datetime]
    target: str = "main"
    #: Number to the target's commit on which nothing more could be done; looked at again when the target moves.
    _stuck: dict[int, str] = field(default_factory=dict[int, str])

    def next(self) -> Rebased | None:
        """One round: the oldest outdated proposal is made again, and judged. None if there is none. Raises `ChangesError`."""
        base = self.repository.resolve(self.target)
        for intent, tries in self._outdated():
            assert intent.number is not None
            if self._stuck.get(intent.number) == base:
                continue
            done = self._end_of_tries(intent, tries) if tries >= TRIES else self._again(intent, tries)
            if done.outcome != "rebased":
                self._stuck[intent.number] = base
            return done
        return None

    def _outdated(self) -> list[tuple[Intent, int]]:
        """Open proposals that nothing but their age bars, oldest first, with how often each was made again."""
        with self.database.read() as session:
            found: list[tuple[Intent, int]] = []
            for intent in remembered.open_intents(session):
                assert intent.number is not None
                judged = remembered.last_verdict(session, intent.number)
                if judged is not None and only_age_bars(Verdict.from_dict(judged.verdict)):
                    found.append((intent, remembered.heads_judged(session, intent.number) - 1))
            return found

    def _again(self, intent: Intent, tries: int) -> Rebased:
        assert intent.number is not None
        before = self.changes.get(intent.number)
        if before.state != "open":
            return Rebased(intent.number, "hands-off", before.head)
        try:
            proposal = proposal_of(intent, self.repository, self.factory, self.target)
            change = self.changes.propose(proposal.on_todays_base())
        except HandsOff as error:
            return self._say(before, "hands-off", f"It is outdated, and left as it is: {error}")
        except (Refused, ValueError) as error:
            # Also where today's factory cannot read what was asked for then: those behind it have their turn.
            return self._say(before, "needs-rebase", f"It is outdated and cannot be made again: {error}")
        if change.head == before.head:
            return self._say(before, "needs-rebase", "It is outdated, and making it again changes nothing.")
        self._record(change, "rebased", {"from": before.head, "head": change.head, "try": tries + 1})
        self.changes.comment(
            change.number,
            MARKER,
            f"The target moved on, so the same wish was made again on top of it ({tries + 1} of {TRIES} tries). Approvals of "
            f"earlier commits do not count for {change.head[:12]}.",
        )
        self.desk.judge(change.number)
        return Rebased(change.number, "rebased", change.head)

    def _end_of_tries(self, intent: Intent, tries: int) -> Rebased:
        assert intent.number is not None
        why = f"**needs-rebase**: the target outran it {tries} times. Reject it, and it can be asked for again; or rebase it by hand."
        return self._say(self.changes.get(intent.number), "needs-rebase", why)

    def _say(self, change: Change, outcome: Literal["needs-rebase", "hands-off"], why: str) -> Rebased:
        """Says it on the change, once, and in the ledger with it."""
        said = any(comment.body.endswith(why) for comment in self.changes.comments(change.number))
        if change.state == "open" and not said:
            self.changes.comment(change.number, MARKER, why)
            self._record(change, outcome, {"head": change.head, "why": why[:2000]})
        return Rebased(change.number, outcome, change.head)

    def _record(self, change: Change, outcome: str, detail: dict[str, object]) -> None:
        with self.database.begin() as session:
            subject = f"change:{change.number}"
            ledger.append(session, ledger.Entry(ACTOR, "change.rebase", subject, outcome, self.now(), detail))


def only_age_bars(verdict: Verdict) -> bool:
    """Whether every no in the verdict is one that today's target or factory brought about."""
    denied = {child.rule for child in verdict.children if child.outcome is Outcome.DENY}
    return bool(denied) and denied <= AGE
