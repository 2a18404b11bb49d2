"""Rules about who: who may propose what where, and who has agreed."""

from __future__ import annotations

from policies.case import Case
from policies.facts import Kind
from policies.kinds import is_report, zone_of
from policies.verdict import Verdict, allow, deny, needs_approval, shown


def authority(case: Case) -> Verdict:
    """Its author may propose this kind of change in this place. No approval changes a no."""
    who = f"{'the person' if case.by_person else 'the agent'} {shown(case.facts.author)}"
    law = case.law.changes.kinds.get(case.kind)
    files = [file.path for file in case.facts.files if not (case.team and is_report(file.path))]
    if case.kind is Kind.MIXED and any(path.startswith("policies/") for path in files):
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
    return allow("authority", f"{who} may propose a {case.kind} change here")


def approvals(case: Case) -> Verdict:
    """Enough people approved exactly this commit. A kind the law does not speak of wants one."""
    law = case.law.changes.kinds.get(case.kind)
    wanted = 1 if law is None else law.approvals
    names = case.approvers
    if len(names) >= wanted:
        by = f", by {', '.join(names)}" if names else ""
        return allow("approvals", f"{len(names)} of {wanted} approvals of {case.facts.head[:12]}{by}")
    said_yes = {name.casefold() for name in names}
    able = [it for it in case.law.changes.people if case.may_approve(it) and it.casefold() not in said_yes]
    if len(able) + len(names) < wanted:
        return needs_approval(
            "approvals",
            f"wants {wanted} approvals of {case.facts.head[:12]} by people who neither opened it nor asked for it, and "
            "policies/changes.yaml lists too few of them; a second person has to be added there",
        )
    return needs_approval(
        "approvals",
        f"{len(names)} of {wanted} approvals of {case.facts.head[:12]}; {_ignored(case)}may approve: {', '.join(able)}",
    )


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
