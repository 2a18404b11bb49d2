"""What would the gate say if …? A dry run is the same gate over facts that are wrapped; nothing is written anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from policies.case import Case
from policies.evaluate import evaluate
from policies.facts import Facts, Override, Review
from policies.law import Law
from policies.lifting import liftable_now
from policies.verdict import Verdict

#: No row of any ledger: an override that was only thought of.
NOT_IN_THE_LEDGER = 0


@dataclass(frozen=True)
class Options:
    """What to suppose. Approvals are of the change's head, and carry `words` as their text."""

    approved_by: tuple[str, ...] = ()
    words: str = ""
    without_reviews_of: tuple[str, ...] = ()
    overridden_by: str | None = None
    reason: str = "supposed, to see what would follow"
    at: datetime | None = None


def what_if(facts: Facts, law: Law, options: Options, now: datetime) -> Verdict:
    """The verdict on the change as it would be under the options."""
    moment = options.at or now
    supposed = _with_reviews(facts, options, moment).model_copy(update={"read_at": moment})
    if options.overridden_by is not None:
        # As long as the law wants a reason to be: that one would be given is part of what is supposed.
        reason = options.reason.ljust(law.overrides.reason_of_at_least, ".")
        given = as_override(supposed, law, options.overridden_by, reason, moment, NOT_IN_THE_LEDGER)
        supposed = supposed.model_copy(update={"overrides": (*supposed.overrides, given)})
    return evaluate(supposed, law, moment)


def as_override(
    facts: Facts, law: Law, who: str, reason: str, now: datetime, seq: int, lasts: timedelta | None = None
) -> Override:
    """The override that this person could give now: of this head, and of the rules it would really lift."""
    wanted = Override(
        who=who,
        head=facts.head,
        rules=liftable_now(evaluate(facts, law, now), Case(facts, law, now)),
        reason=reason,
        at=now,
        until=now + (lasts or timedelta(hours=law.overrides.at_most_hours)),
        seq=seq,
    )
    then = evaluate(facts.model_copy(update={"overrides": (*facts.overrides, wanted)}), law, now)
    allowed = {child.rule for child in then.children if child.allowed}
    return wanted.model_copy(update={"rules": tuple(rule for rule in wanted.rules if rule in allowed)})


def _with_reviews(facts: Facts, options: Options, moment: datetime) -> Facts:
    gone = {login.casefold() for login in options.without_reviews_of}
    kept = tuple(review for review in facts.reviews if review.who.casefold() not in gone)
    given = tuple(
        Review(who=login, state="approved", commit=facts.head, at=moment, body=options.words)
        for login in options.approved_by
    )
    return facts.model_copy(update={"reviews": (*kept, *given)})
