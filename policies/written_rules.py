"""The rules that people wrote in `rules.yaml`, asked of a change. An expression without an answer is a no."""

from __future__ import annotations

from typing import Any

from policies.case import Case
from policies.facts import MICRO
from policies.verdict import Verdict, allow, combine, deny, many, needs_approval
from policies.written import CannotTell, Written, holds


def written(case: Case) -> Verdict | None:
    """Every written rule's answer. None where there are none."""
    rules = case.law.rules.rules
    if not rules:
        return None
    values = values_of(case)
    return combine("written", [_answer(name, rule, case, values) for name, rule in rules.items()])


def _answer(name: str, rule: Written, case: Case, values: dict[str, Any]) -> Verdict:
    try:
        speaks = holds(rule.when, values)
    except (CannotTell, ValueError) as error:
        return deny(name, f"its expression has no answer ({error}); a person must mend policies/rules.yaml")
    if not speaks:
        return allow(name, "does not concern this change")
    if rule.then == "deny":
        return deny(name, rule.reason)
    have = len(case.approvers) + (case.own_approval is not None)
    if have >= rule.approvals:
        return allow(name, f"{rule.reason}; {have} of {many(rule.approvals, 'approval')}")
    return needs_approval(
        name, f"{rule.reason}; {have} of {many(rule.approvals, 'approval')} of {case.facts.head[:12]}"
    )


def values_of(case: Case) -> dict[str, Any]:
    """What an expression can speak of, by the names and types of `policies.written.VARIABLES`. What is not there is empty."""
    facts, team, server = case.facts, case.team, case.server
    after = team.spec_after if team else None
    before = team.spec_before if team else None
    month = team.forecast_usd_micro_month if team else None
    return {
        "kind": case.kind.value,
        "author": facts.author,
        "requester": facts.requester,
        "by_person": case.by_person,
        "branch": facts.branch,
        "paths": [file.path for file in facts.files],
        "files": len(facts.files),
        "size_bytes": sum(file.size for file in facts.files),
        "team": after.name if after else "",
        "zone": team.zone if team else "",
        "framework": after.framework if after else "",
        "members": after.members if after else 0,
        "tools": sorted({tool for _, _, tool in after.tools}) if after else [],
        "daily_budget_usd": after.daily_budget_usd_micro / MICRO if after else 0.0,
        "daily_budget_before_usd": before.daily_budget_usd_micro / MICRO if before else 0.0,
        # Nobody can say: more than any limit.
        "forecast_usd_month": (month / MICRO if month is not None else 1e12) if team else 0.0,
        "server": server.name or "" if server else "",
        "hosts": list(server.hosts) if server else [],
        "secrets": list(server.secrets) if server else [],
        "approvers": list(case.approvers),
        "hour": case.now.hour,
        "weekday": case.now.isoweekday(),
    }
