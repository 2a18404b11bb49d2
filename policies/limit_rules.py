"""Rules about how many, how fast, how dear, how long; and about times at which nothing is merged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from policies.case import Case
from policies.facts import Kind, Slot
from policies.law import Explicit, Rate
from policies.money import dollars
from policies.verdict import Outcome, Verdict, allow, combine, deny, many, needs_approval, pending, shown


def new_teams(case: Case) -> Verdict | None:
    """Within the window there is room for one more team."""
    if case.kind is not Kind.NEW_TEAM:
        return None
    return _room("new_teams", (Kind.NEW_TEAM,), case.law.limits.new_teams, case)


def cooldown(case: Case) -> Verdict | None:
    """The latest new team was merged long enough ago."""
    if case.kind is not Kind.NEW_TEAM:
        return None
    return _apart("cooldown", (Kind.NEW_TEAM,), case.law.limits.new_teams, case)


def rates(case: Case) -> Verdict | None:
    """Every further rate of `limits.rates` that holds for this kind has room, and its last change is long enough ago."""
    answers = list(_further(case))
    return combine("rates", answers) if answers else None


def _further(case: Case) -> Iterator[Verdict]:
    for name, (kinds, rate) in case.law.limits.rates_of(case.kind).items():
        if name == "new_teams":
            continue
        yield from (answer for answer in (_room(name, kinds, rate, case), _apart(name, kinds, rate, case)) if answer)


def _room(name: str, kinds: tuple[Kind, ...], rate: Rate, case: Case) -> Verdict | None:
    """Whether one more fits into the rate's window."""
    if rate.at_most is None:
        return None
    if case.facts.requester in rate.exempt:
        return allow(name, f"{case.facts.requester} is exempt")
    ahead = _ahead(kinds, rate, case)
    ending = "s" if rate.at_most != 1 else ""
    what = ", ".join(kind.value.replace("_", " ") + ending for kind in kinds)
    also = ", open proposals included" if rate.counts == "merged_and_open" else ""
    whose = f" of {shown(case.facts.requester)}" if rate.per == "requester" else ""
    count = f"{len(ahead)} of {rate.at_most} {what}{whose} in {rate.window}{also}"
    if len(ahead) < rate.at_most:
        return allow(name, f"{count}; this is one more")
    if reason := case.said(rate.lifted_by):
        return allow(name, f"{count}; lifted by {shown(reason, 200)}")
    if rate.at_most == 0:
        return deny(name, f"policies/limits.yaml allows no {what} ({name}.at_most is 0)")
    return pending(name, f"{count}; {_way_out(rate.lifted_by)}", _room_at(ahead, rate, case.now))


def _counted(kinds: tuple[Kind, ...], rate: Rate, case: Case) -> list[Slot]:
    """The places that this rate counts at all, whenever they were taken."""
    mine = case.facts.requester
    counted = [it for it in case.facts.slots if it.kind in kinds and it.requester not in rate.exempt]
    return [it for it in counted if rate.per == "company" or it.requester == mine]


def _ahead(kinds: tuple[Kind, ...], rate: Rate, case: Case) -> list[Slot]:
    """The places taken before this change: the merged ones in the window, and the open proposals that came earlier."""
    slots, since = _counted(kinds, rate, case), rate.since(case.now)
    own = next((slot for slot in slots if slot.number == case.facts.number and slot.state == "reserved"), None)
    merged = [slot for slot in slots if slot.state == "consumed" and slot.at > since]
    if rate.counts == "merged":
        return merged
    proposed = [slot for slot in slots if slot.state == "reserved" and slot is not own]
    return merged + [slot for slot in proposed if own is None or _before(slot, own)]


def _before(slot: Slot, own: Slot) -> bool:
    unnumbered = 1 << 62
    return (slot.at, slot.number or unnumbered) < (own.at, own.number or unnumbered)


def _room_at(ahead: list[Slot], rate: Rate, now: datetime) -> datetime | None:
    """When enough merged changes have left the window; None if that takes a decision on an open proposal."""
    merged = sorted(rate.frees(slot.at, now) for slot in ahead if slot.state == "consumed")
    leaving = len(ahead) - (rate.at_most or 0) + 1
    return merged[leaving - 1] if leaving <= len(merged) else None


def _way_out(words: Explicit | None) -> str:
    lift = f', or approve with "{words.words} <reason of {words.reason_of_at_least} letters or more>"' if words else ""
    return f"wait, or decide on an open proposal{lift}"


def _apart(name: str, kinds: tuple[Kind, ...], rate: Rate, case: Case) -> Verdict | None:
    """Whether the latest one was merged long enough ago."""
    if rate.cooldown_seconds is None or case.facts.requester in rate.exempt:
        return None
    merged = [slot.at for slot in _counted(kinds, rate, case) if slot.state == "consumed"]
    free_at = max(merged) + timedelta(seconds=rate.cooldown_seconds) if merged else case.now
    if free_at <= case.now:
        return allow(name, f"none merged in the last {many(rate.cooldown_seconds, 'second')}")
    if reason := case.said(rate.lifted_by):
        return allow(name, f"lifted by {shown(reason, 200)}")
    return pending(
        name, f"{many(rate.cooldown_seconds, 'second')} between two merges; merged by itself afterwards", free_at
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
            f"{who} has {many(case.facts.open_before, 'older open change')} and may have {limit}; decide on those",
        )
    return allow("open_changes", f"{case.facts.open_before} of {many(limit, 'other open change')} by {who}")


def freeze(case: Case) -> Verdict | None:
    """Merging is not frozen, or this kind is exempt. The law itself always is: by it a freeze is ended."""
    frozen = case.law.limits.freeze
    if frozen is None:
        return None
    why = f"frozen ({shown(frozen.reason, 200)})"
    if case.kind is Kind.LAW or case.kind in frozen.exempt:
        return allow("freeze", f"{why}; a {case.kind} change is exempt")
    if frozen.until is not None and frozen.until <= case.now:
        return allow("freeze", f"the freeze ended at {frozen.until:%Y-%m-%d %H:%M} UTC")
    return pending("freeze", f"{why}; nothing is merged until it ends", frozen.until)


def stale(case: Case) -> Verdict | None:
    """Something moved in it lately. If not, the merge desk closes it."""
    limit, moved = case.law.limits.stale, case.facts.moved_at
    if limit is None or moved is None or case.kind in limit.exempt:
        return None
    ends = moved + timedelta(days=limit.after_days)
    if case.now < ends:
        return allow(
            "stale", f"last moved {moved:%Y-%m-%d}; closed after {many(limit.after_days, 'day')} without movement"
        )
    return deny("stale", f"nothing moved in it since {moved:%Y-%m-%d %H:%M} UTC; it is closed. Propose it again")


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
    limit, ceiling, team = case.law.costs.forecast_usd_month, case.law.costs.refused_above_usd_month, case.team
    if team is None or case.kind not in (Kind.NEW_TEAM, Kind.CHANGE_TEAM):
        return None
    cost = team.forecast_usd_micro_month
    if ceiling is not None and (cost is None or cost > ceiling):
        seen = "nobody can say what it will cost in a month" if cost is None else f"{dollars(cost)} a month"
        return deny("forecast", f"{seen}; policies/costs.yaml refuses more than {dollars(ceiling)}. Make it cheaper")
    if limit is None:
        return None
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


def is_stale(verdict: Verdict) -> bool:
    """Whether the verdict says that nothing moves in the change any more."""
    return any(child.rule == "stale" and child.outcome is Outcome.DENY for child in verdict.children)
