"""Which lane of `auto_merge`, if any, carries a change: a change of low risk that nobody has to look at."""

from __future__ import annotations

from policies.case import Case
from policies.kinds import Ground
from policies.law import AutoMerge
from policies.patterns import matches


def lane_of(case: Case) -> str | None:
    """The first lane whose conditions all hold. Never one for the constitution, or for a budget that rises."""
    if case.grounds != frozenset({Ground.TEAMS}) or case.budget_rises:
        return None
    return next((name for name, lane in case.law.changes.auto_merge.items() if _carries(lane, case)), None)


def _carries(lane: AutoMerge, case: Case) -> bool:
    files = case.facts.files
    if case.kind not in lane.kinds:
        return False
    if lane.files_at_most is not None and len(files) > lane.files_at_most:
        return False
    if lane.only_paths is not None and not all(_any(lane.only_paths, file.path) for file in files):
        return False
    if lane.requesters is not None and not (_was_asked_for(case) and _any(lane.requesters, case.facts.requester)):
        return False
    return _is_cheap(lane, case) and _is_like_before(lane, case)


def _was_asked_for(case: Case) -> bool:
    """Whether the requester's name is good for it: a branch that was made for one wish can be pushed something else."""
    return case.facts.asked_for is None or case.facts.asked_for is case.kind


def _any(patterns: tuple[str, ...], value: str) -> bool:
    return any(matches(pattern, value) for pattern in patterns)


def _is_cheap(lane: AutoMerge, case: Case) -> bool:
    if lane.forecast_usd_month_at_most is None:
        return True
    month = case.team.forecast_usd_micro_month if case.team else None
    return month is not None and month <= lane.forecast_usd_month_at_most


def _is_like_before(lane: AutoMerge, case: Case) -> bool:
    before = case.team.spec_before if case.team else None
    after = case.team.spec_after if case.team else None
    if before is None or after is None:
        return False
    if lane.no_new_tools and not set(after.tools) <= set(before.tools):
        return False
    return not lane.same_shape or (before.members, before.framework) == (after.members, after.framework)
