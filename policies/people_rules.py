"""Rules about who: who may propose what where, and who has agreed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies import auto_merge
from policies.case import Case
from policies.facts import Kind
from policies.kinds import LAW_FOLDER, Ground, is_report, zone_of
from policies.law import From, Liftable
from policies.patterns import matches
from policies.verdict import Missing, Verdict, allow, deny, listed, many, needs_approval, shown


def authority(case: Case) -> Verdict:
    """Its author may propose this kind of change in this place. No approval changes a no."""
    who = f"{'the person' if case.by_person else 'the agent'} {shown(case.facts.author)}"
    law = case.law.changes.kinds.get(case.kind)
    files = [file.path for file in case.facts.files if not (case.team and is_report(file.path))]
    if case.kind is Kind.MIXED and any(path.startswith(LAW_FOLDER) for path in files):
        return deny("authority", "it changes policies/ and something else; law travels alone: split it")
    if law is None and not case.by_person:
        return deny("authority", f"policies/changes.yaml does not let agents propose a {case.kind} change")
    if law is None:
        return needs_approval("authority", f"policies/changes.yaml says nothing of a {case.kind} change; people decide")
    zones = law.people_in if case.by_person else law.agents_in
    outside = [path for path in files if "." not in zones and zone_of(path) not in zones]
    if outside or not zones:
        where = ", ".join(f"{zone}/" for zone in zones) or "nowhere"
        touched = shown(outside[0] if outside else files[0]) if files else "nothing"
        return deny("authority", f"{who} may propose a {case.kind} change in: {where}; this one touches {touched}")
    patterns = law.only_paths
    if patterns is not None and (odd := [it for it in files if not any(matches(one, it) for one in patterns)]):
        return deny(
            "authority",
            f"not among the paths a {case.kind} change may touch (kinds.{case.kind}.only_paths): {listed(odd)}",
        )
    return allow("authority", f"{who} may propose a {case.kind} change here")


@dataclass(frozen=True)
class Demand:
    """Who has to agree to a change: so many people, among them so many of each group, and why."""

    approvals: int
    groups: tuple[From, ...]
    why: str


def demanded(case: Case) -> Demand:
    """What the law demands of this change. A lane of auto_merge waives what its kind demands, and nothing else."""
    law, lane = case.law.changes.kinds.get(case.kind), auto_merge.lane_of(case)
    count, why = (1 if law is None else law.approvals), f"a {case.kind} change"
    groups = () if law is None else law.approvals_from
    if lane is not None:
        count, groups, why = 0, (), f"auto_merge.{lane}"
    for ground in sorted(case.grounds & set(case.law.changes.zones)):
        zone = case.law.changes.zones[ground]
        groups += zone.approvals_from
        if zone.approvals > count:
            count, why = zone.approvals, f"zones.{ground}"
    if not count and Ground.CONSTITUTION in case.grounds:
        count, why = 1, "the constitution never changes without a person"
    if not count and case.budget_rises:
        count, why = 1, "a budget never rises without a person"
    if not count and not case.by_person and case.leaves_health:
        count, why = 1, "an agent takes a team back from where it is ill, not from a state that was found healthy"
    if not count and lane is None and case.tools_rise:
        count, why = 1, "a tool that naming it grants never comes to a team without a person"
    return Demand(count, groups, why)


def approvals(case: Case) -> Verdict:
    """Enough people approved exactly this commit, and enough of each group. A kind the law does not speak of wants one."""
    demand = demanded(case)
    names, own = case.approvers, case.own_approval
    if own is not None:
        names = (*names, own.who)
    by = f", by {', '.join(names)}" if names else ""
    lifted = (
        f"; the author's own, by override until {own.until:%Y-%m-%d %H:%M} UTC: {shown(own.reason, 200)}" if own else ""
    )
    lane = f" ({demand.why})" if demand.why.startswith("auto_merge.") else ""
    count = f"{len(names)} of {many(demand.approvals, 'approval')} of {case.facts.head[:12]}{by}{lane}{lifted}"
    missing = [it for it in demand.groups if _of_group(case, it.group, names) < it.approvals]
    if len(names) >= demand.approvals and not missing:
        return allow("approvals", count)
    reason = _what_is_missing(case, demand, names, missing)
    able = _able(case, names)
    if _too_few(case, demand, names, able, missing):
        return needs_approval("approvals", reason)
    lacking = [demand.approvals - len(names), *(it.approvals - _of_group(case, it.group, names) for it in missing)]
    return needs_approval("approvals", reason, Missing(approvals=max(lacking), may_approve=tuple(able)))


def _of_group(case: Case, group: str, names: Sequence[str]) -> int:
    members = {name.casefold() for name in case.law.changes.groups.get(group, ())}
    return len({name.casefold() for name in names} & members)


def _able(case: Case, names: Sequence[str]) -> list[str]:
    """Who may approve and has not."""
    said_yes = {name.casefold() for name in names}
    return [it for it in case.law.changes.people if case.may_approve(it) and it.casefold() not in said_yes]


def _too_few(case: Case, demand: Demand, names: Sequence[str], able: Sequence[str], missing: Sequence[From]) -> bool:
    """Whether the change lacks approvals even if everybody approves who may."""
    everybody = [*names, *able]
    return len(everybody) < demand.approvals or any(
        _of_group(case, it.group, everybody) < it.approvals for it in missing
    )


def _what_is_missing(case: Case, demand: Demand, names: Sequence[str], missing: Sequence[From]) -> str:
    head, wanted = case.facts.head[:12], demand.approvals
    able = _able(case, names)
    groups = "".join(f"{it.approvals} of them by the group {it.group}; " for it in missing)
    if _too_few(case, demand, names, able, missing):
        return (
            f"wants {many(wanted, 'approval')} of {head} ({demand.why}) by people who neither opened it nor asked for it; {groups}"
            f"policies/changes.yaml lists too few of them; {_way_out(case)}"
        )
    return (
        f"{len(names)} of {many(wanted, 'approval')} of {head}; {groups}{_ignored(case)}may approve: {', '.join(able)}"
    )


def _way_out(case: Case) -> str:
    """A company of one person has one way: that person's override."""
    law, people = case.law.overrides, case.law.changes.people
    if Liftable.OWN_APPROVAL in law.liftable and len(people) == 1 and law.names(people[0]) and case.by_person:
        return f'{people[0]} may override that: ./elf override {case.facts.number or "N"} --why "..."'
    return "a second person has to be added there"


def _ignored(case: Case) -> str:
    """Why approvals that were given do not count, where there are any."""
    for review in case.decisive_reviews:
        if review.state == "approved" and review.commit != case.facts.head:
            return f"the approval by {review.who} was of another commit, {review.commit[:12]}; "
        if review.state == "approved" and not case.may_approve(review.who):
            return f"{review.who} opened or asked for the change and cannot approve it; "
    return ""


def objections(case: Case) -> Verdict:
    """Nobody who asked for changes is still waiting for them."""
    standing: dict[str, str] = {}
    for review in case.decisive_reviews:
        if review.state == "changes_requested":
            standing[review.who.casefold()] = review.who
        elif review.commit == case.facts.head:
            standing.pop(review.who.casefold(), None)
    if standing:
        return needs_approval(
            "objections", f"{', '.join(sorted(standing.values()))} asked for changes and has not approved since"
        )
    return allow("objections", "nobody objects")
