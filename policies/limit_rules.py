"""Rules about how many, how fast, how dear."""

from __future__ import annotations

from datetime import datetime, timedelta

from policies.case import Case
from policies.facts import Facts, Kind, Slot
from policies.money import dollars
from policies.verdict import Verdict, allow, deny, needs_approval, pending, shown


def new_teams(case: Case) -> Verdict | None:
    """Within the window there is room for one more team."""
    limit = case.law.limits.new_teams
    if case.kind is not Kind.NEW_TEAM or limit.at_most is None:
        return None
    if case.facts.requester in limit.exempt:
        return allow("new_teams", f"{case.facts.requester} is exempt")
    window = timedelta(hours=limit.in_hours)
    ahead = _ahead(case.facts, case.now - window)
    count = f"{len(ahead)} of {limit.at_most} new teams in {limit.in_hours} hours, open proposals included"
    if len(ahead) < limit.at_most:
        return allow("new_teams", f"{count}; this is one more")
    if reason := case.said(limit.lifted_by):
        return allow("new_teams", f"{count}; lifted by {shown(reason, 200)}")
    if limit.at_most == 0:
        return deny("new_teams", "policies/limits.yaml allows no new teams (new_teams.at_most is 0)")
    return pending("new_teams", f"{count}; {_way_out(case)}", _room_at(ahead, limit.at_most, window))


def _ahead(facts: Facts, since: datetime) -> list[Slot]:
    """The places taken before this change: the merged ones in the window, and the open proposals that came earlier."""
    own = next((slot for slot in facts.slots if slot.number == facts.number and slot.state == "reserved"), None)
    return [
        slot
        for slot in facts.slots
        if slot is not own and (slot.at > since if slot.state == "consumed" else own is None or _before(slot, own))
    ]


def _before(slot: Slot, own: Slot) -> bool:
    unnumbered = 1 << 62
    return (slot.at, slot.number or unnumbered) < (own.at, own.number or unnumbered)


def _room_at(ahead: list[Slot], at_most: int, window: timedelta) -> datetime | None:
    """When enough merged teams have left the window; None if that takes a decision on an open proposal."""
    merged = sorted(slot.at for slot in ahead if slot.state == "consumed")
    leaving = len(ahead) - at_most + 1
    return merged[leaving - 1] + window if leaving <= len(merged) else None


def _way_out(case: Case) -> str:
    words = case.law.limits.new_teams.lifted_by
    lift = f', or approve with "{words.words} <reason of {words.reason_of_at_least} letters or more>"' if words else ""
    return f"wait, or decide on an open proposal{lift}"


def cooldown(case: Case) -> Verdict | None:
    """The latest new team was merged long enough ago."""
    limit = case.law.limits.new_teams
    if case.kind is not Kind.NEW_TEAM or limit.cooldown_seconds is None or case.facts.requester in limit.exempt:
        return None
    merged = [slot.at for slot in case.facts.slots if slot.state == "consumed"]
    free_at = max(merged) + timedelta(seconds=limit.cooldown_seconds) if merged else case.now
    if free_at <= case.now:
        return allow("cooldown", f"no new team in the last {limit.cooldown_seconds} seconds")
    if reason := case.said(limit.lifted_by):
        return allow("cooldown", f"lifted by {shown(reason, 200)}")
    return pending(
        "cooldown", f"{limit.cooldown_seconds} seconds between new teams; merged by itself afterwards", free_at
    )


def open_changes(case: Case) -> Verdict | None:
    """Its requester does not flood the reviewers."""
    limit = case.law.limits.open_changes_per_requester
    if limit is None or case.kind is Kind.ROLLBACK_TEAM:
        return None
    who = shown(case.facts.requester)
    if case.facts.open_before >= limit:
        return pending(
            "open_changes",
            f"{who} has {case.facts.open_before} older open changes, {limit} are allowed; decide on those",
        )
    return allow("open_changes", f"{case.facts.open_before} of {limit} other open changes by {who}")


def daily_budget(case: Case) -> Verdict | None:
    """The team's daily budget is modest, or was not raised, or a person said why it is worth it."""
    limit, team = case.law.costs.daily_budget_usd, case.team
    if limit is None or team is None or case.kind is Kind.RETIRE_TEAM:
        return None
    if team.spec_after is None:
        return _explicitly(case, "daily_budget", "the daily budget cannot be read")
    asked = team.spec_after.daily_budget_usd_micro
    before = team.spec_before.daily_budget_usd_micro if team.spec_before else None
    if asked <= limit:
        return allow("daily_budget", f"{dollars(asked)} a day, within {dollars(limit)}")
    if before is not None and asked <= before:
        return allow("daily_budget", f"{dollars(asked)} a day, not more than before")
    return _explicitly(case, "daily_budget", f"{dollars(asked)} a day is more than {dollars(limit)}")


def forecast(case: Case) -> Verdict | None:
    """The team's cost for a month is known and modest, or a person said why it is worth it."""
    limit, team = case.law.costs.forecast_usd_month, case.team
    if limit is None or team is None or case.kind not in (Kind.NEW_TEAM, Kind.CHANGE_TEAM):
        return None
    cost = team.forecast_usd_micro_month
    if cost is None:
        return _explicitly(case, "forecast", "nobody can say what it will cost in a month")
    if cost <= limit:
        return allow("forecast", f"{dollars(cost)} a month, within {dollars(limit)}")
    return _explicitly(case, "forecast", f"{dollars(cost)} a month is more than {dollars(limit)}")


def _explicitly(case: Case, rule: str, what: str) -> Verdict:
    accepted = case.law.costs.accepted_by
    if reason := case.said(accepted):
        return allow(rule, f"{what}; accepted by {shown(reason, 200)}")
    how = f"{accepted.words} <reason of {accepted.reason_of_at_least} letters or more>"
    return needs_approval(rule, f'{what}; approve with "{how}" to accept it')
