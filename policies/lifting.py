"""What an override does to an answer: it lifts "wait" and "ask a person" of a few named rules, and never a no."""

from __future__ import annotations

from types import MappingProxyType

from policies.case import Case
from policies.law import Liftable
from policies.verdict import Outcome, Verdict, shown

#: The only rules whose answers are lifted, and what the law has to list for it. `approvals` is not among them: it
#: counts the one override that it knows (see `Case.own_approval`) itself.
LIFTS = MappingProxyType(
    {
        "new_teams": Liftable.LIMITS,
        "cooldown": Liftable.LIMITS,
        "rates": Liftable.LIMITS,
        "open_changes": Liftable.LIMITS,
        "daily_budget": Liftable.COSTS,
        "forecast": Liftable.COSTS,
        "freeze": Liftable.FREEZE,
    }
)
_SOFT = frozenset({Outcome.PENDING, Outcome.NEEDS_APPROVAL})


def lifted(answer: Verdict, case: Case) -> Verdict:
    """The answer itself; or a yes that names the override and keeps what it lifts below it."""
    what = LIFTS.get(answer.rule)
    if what is None or answer.outcome not in _SOFT:
        return answer
    override = case.override(answer.rule, what)
    if override is None:
        return answer
    until = f"until {override.until:%Y-%m-%d %H:%M} UTC, ledger row {override.seq}"
    reason = f"lifted by override of {override.who} ({until}): {shown(override.reason, 200)}"
    return Verdict(outcome=Outcome.ALLOW, rule=answer.rule, reason=reason, children=(answer,))


def liftable_now(verdict: Verdict, case: Case) -> tuple[str, ...]:
    """The rules that stand in the way now and that an override of whoever may could lift: what it will be written for."""
    found = [
        child.rule
        for child in verdict.children
        if child.outcome in _SOFT and LIFTS.get(child.rule) in case.law.overrides.liftable
    ]
    if Liftable.OWN_APPROVAL in case.law.overrides.liftable and any(
        child.rule == "approvals" and child.outcome is Outcome.NEEDS_APPROVAL for child in verdict.children
    ):
        found.append("approvals")
    return tuple(found)
