"""A person's override, checked before it is written: by whom, of what, for how long, and whether it would lift anything."""

from __future__ import annotations

from datetime import datetime, timedelta

from mcp_servers.git.changes import NotAllowed, Refused
from mcp_servers.git.judging import Judgement
from policies.facts import Override
from policies.simulated import NOT_IN_THE_LEDGER, as_override
from policies.verdict import Outcome

_MAX_REASON = 2000


def override_by(login: str, judgement: Judgement, why: str, lasts: timedelta | None, now: datetime) -> Override:
    """What the person may write down now. Raises `NotAllowed` (never this person), `Refused` (not like this, or not of this)."""
    facts, law = judgement.facts, judgement.law
    if facts is None or law is None:
        raise Refused(f"what could not be judged cannot be overridden: {judgement.verdict.reason}")
    rules = law.overrides
    if not rules.names(login) or not law.changes.is_person(login):
        raise NotAllowed(
            f"{login} may not override: policies/overrides.yaml in main names {', '.join(rules.by) or 'nobody'}"
        )
    reason = why.strip()[:_MAX_REASON]
    if len(reason) < rules.reason_of_at_least:
        raise Refused(f"say why in {rules.reason_of_at_least} characters or more; the ledger keeps it")
    longest = timedelta(hours=rules.at_most_hours)
    if lasts is not None and not timedelta(0) < lasts <= longest:
        raise Refused(f"an override lasts more than 0 and at the most {rules.at_most_hours} hours")
    if judgement.verdict.allowed:
        raise Refused("nothing stands in its way; there is nothing to override")
    if noes := [child.rule for child in judgement.verdict.children if child.outcome is Outcome.DENY]:
        raise Refused(
            f"the gate refuses it ({', '.join(noes)}), and a no is not overridden; the change has to be another one"
        )
    given = as_override(facts, law, login, reason, now, NOT_IN_THE_LEDGER, lasts)
    if not given.rules:
        listed = ", ".join(rules.liftable) or "nothing"
        raise Refused(
            f"nothing that {login} could lift stands in its way (policies/overrides.yaml in main lists {listed}); "
            f"what does: {'; '.join(judgement.verdict.reasons())[:600]}"
        )
    return given
