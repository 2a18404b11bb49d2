"""What a rule is given: the facts, the law, the time, and what follows from them for several rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from policies.facts import Facts, Kind, Review, ServerFacts, TeamFacts
from policies.kinds import kind_of
from policies.law import Explicit, Law
from policies.verdict import Verdict

TEAM_KINDS = frozenset({Kind.NEW_TEAM, Kind.CHANGE_TEAM, Kind.RETIRE_TEAM, Kind.ROLLBACK_TEAM})
SERVER_KINDS = frozenset({Kind.NEW_SERVER, Kind.CHANGE_SERVER})


@dataclass(frozen=True)
class Case:
    """One change before the gate."""

    facts: Facts
    law: Law
    now: datetime

    @cached_property
    def kind(self) -> Kind:
        return kind_of(self.facts)

    @cached_property
    def by_person(self) -> bool:
        """Whether a listed person opened it. Everybody else is treated as an agent."""
        return self.law.changes.is_person(self.facts.author)

    @property
    def team(self) -> TeamFacts | None:
        """The touched team folder, if the change is to one team and nothing else."""
        return self.facts.team if self.kind in TEAM_KINDS else None

    @property
    def server(self) -> ServerFacts | None:
        """The touched folder of the catalogue, if the change is to one tool server and nothing else."""
        return self.facts.server if self.kind in SERVER_KINDS else None

    @cached_property
    def approvals(self) -> tuple[Review, ...]:
        """The approvals that count: of exactly the head, not taken back, not by author or requester; oldest first."""
        counted: list[Review] = []
        for review in self.decisive_reviews:
            if review.state == "changes_requested":
                counted = [other for other in counted if other.who.casefold() != review.who.casefold()]
            elif review.commit == self.facts.head and self.may_approve(review.who):
                counted.append(review)
        return tuple(counted)

    @cached_property
    def approvers(self) -> tuple[str, ...]:
        """Who gave them, everybody once."""
        return tuple(sorted({review.who.casefold(): review.who for review in self.approvals}.values()))

    @cached_property
    def decisive_reviews(self) -> tuple[Review, ...]:
        """People's approvals and objections, oldest first. A dismissed review is as if it had never been."""
        reviews = [review for review in self.facts.reviews if self.law.changes.is_person(review.who)]
        decisive = [review for review in reviews if review.state in ("approved", "changes_requested")]
        return tuple(sorted(decisive, key=lambda review: review.at))

    def may_approve(self, login: str) -> bool:
        """A listed person who neither opened the change nor had it opened."""
        mine = {self.facts.author.casefold(), self.facts.requester.casefold().removeprefix("person:")}
        return self.law.changes.is_person(login) and login.casefold() not in mine

    def said(self, explicit: Explicit | None) -> str | None:
        """The reason somebody gave with these words in an approval that counts; None if nobody did."""
        if explicit is None:
            return None
        for review in self.approvals:
            for line in review.body.splitlines():
                words, reason = line.strip()[: len(explicit.words)], line.strip()[len(explicit.words) :].strip()
                if words.casefold() == explicit.words.casefold() and len(reason) >= explicit.reason_of_at_least:
                    return f"{review.who}: {reason}"
        return None


Rule = Callable[[Case], Verdict | None]
"""One rule: its verdict, or None where it has nothing to say."""
