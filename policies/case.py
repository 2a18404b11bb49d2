"""What a rule is given: the facts, the law, the time, and what follows from them for several rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from policies.facts import Facts, Kind, Override, Review, ServerFacts, TeamFacts
from policies.kinds import Ground, ground_of, kind_of
from policies.law import Explicit, Law, Liftable
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
    def grounds(self) -> frozenset[Ground]:
        """The parts of the repository it touches. Touching nothing is not harmless: that counts as constitution."""
        return frozenset(ground_of(file.path) for file in self.facts.files) or frozenset({Ground.CONSTITUTION})

    @cached_property
    def budget_rises(self) -> bool:
        """Whether a living team's daily budget would be higher than before, or nobody can say that it would not."""
        if self.team is None or self.team.tree_before is None or self.team.tree_after is None:
            return False
        before, after = self.team.spec_before, self.team.spec_after
        return before is None or after is None or after.daily_budget_usd_micro > before.daily_budget_usd_micro

    @cached_property
    def leaves_health(self) -> bool:
        """Whether it is a way back from a tree that was itself found healthy: whoever may go back and forth may do so for ever."""
        team = self.team
        return self.kind is Kind.ROLLBACK_TEAM and team is not None and team.tree_before in team.verified_trees

    @cached_property
    def leaves_illness(self) -> bool:
        """Whether it is a way back from a tree that was deployed and found ill. That nobody found it healthy yet is not that."""
        team = self.team
        return self.kind is Kind.ROLLBACK_TEAM and team is not None and team.tree_before in team.ill_trees

    @cached_property
    def tools_rise(self) -> bool:
        """Whether a living team's member could call a tool that it could not before, by naming it (`named_in_team`).

        Without anybody being asked that is a grant which nobody gave, or which somebody took back.
        """
        if not self.law.access.named_in_team or self.team is None:
            return False
        if self.team.tree_before is None or self.team.tree_after is None:
            return False
        before, after = self.team.spec_before, self.team.spec_after
        if before is None or after is None:
            return True
        had = {(member, tool) for member, _, tool in before.tools}
        return any(
            (member, tool) not in had and not self.law.access.may(after.name, member, tool, manager=manager)
            for member, manager, tool in after.tools
        )

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

    def override(self, rule: str, what: Liftable) -> Override | None:
        """The standing override of this rule, if the law lets this be lifted: of this very head, in time, with a reason."""
        law = self.law.overrides
        if what not in law.liftable:
            return None
        return next((it for it in self.facts.overrides if rule in it.rules and self._stands(it)), None)

    def _stands(self, it: Override) -> bool:
        law = self.law.overrides
        by_right = law.names(it.who) and self.law.changes.is_person(it.who) and it.head == self.facts.head
        in_time = it.at <= self.now < it.until and it.until - it.at <= timedelta(hours=law.at_most_hours)
        return by_right and in_time and len(it.reason.strip()) >= law.reason_of_at_least

    @cached_property
    def own_approval(self) -> Override | None:
        """The override that stands for an approval of a change which its own author alone could approve.

        Only where the law lists one person, and that person made and asked for the change with their own hands.
        """
        author = self.facts.author.casefold()
        mine = self.facts.requester.casefold().removeprefix("person:") == author
        if {name.casefold() for name in self.law.changes.people} != {author} or not mine:
            return None
        found = self.override("approvals", Liftable.OWN_APPROVAL)
        return found if found is not None and found.who.casefold() == author else None

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
