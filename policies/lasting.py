"""Whether a law can be changed again once it binds: by it a plain change to it is judged, with everybody's yes.

A law that nobody can change is the one mistake that its own road cannot mend. Pure, like the gate itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from policies.evaluate import evaluate
from policies.facts import ChangedFile, Facts, Kind, Review
from policies.kinds import LAW_FOLDER
from policies.law import FILES, Law
from policies.simulated import NOT_IN_THE_LEDGER, as_override
from policies.verdict import Verdict
from policies.written import Written, asked_of

#: Nothing that binds a law change asks for the time: written rules are taken as speaking, a freeze lets it through.
_SOME_DAY = datetime(2026, 1, 5, 12, tzinfo=UTC)
_HEAD, _BASE = "a" * 40, "b" * 40
_SPEAKS_OF = re.compile(r"\bkind\s*(?:==|in\b)[^&|]*?['\"](law|rollback_team)['\"]")


def why_locked(law: Law, people: Collection[str] | None = None, *, target: str = "main") -> str | None:
    """Why these people (None: all whom it lists) could not change this law again, whatever they agree on; None if they could.

    `target` is the branch where the law stands.
    """
    known = None if people is None else {login.casefold() for login in people}
    able = [login for login in law.changes.people if known is None or login.casefold() in known]
    said: Verdict | None = None
    for verdict in _tries(_at_its_strictest(law), able, target):
        if verdict.allowed:
            return None
        said = said or verdict
    if said is None:
        return "nobody is left who could propose a change to it"
    return said.reasons()[0].replace(f" of {_HEAD[:12]}", "")


def _tries(law: Law, people: list[str], target: str) -> Iterator[Verdict]:
    """A change to every file of the law, by each of the people, approved by all others; as it is, and overridden by whoever may."""
    for author in people:
        facts = _plain_change(author, [other for other in people if other != author], target)
        yield evaluate(facts, law, _SOME_DAY)
        for who in [login for login in people if law.overrides.names(login)]:
            given = as_override(facts, law, who, "x" * law.overrides.reason_of_at_least, _SOME_DAY, NOT_IN_THE_LEDGER)
            yield evaluate(facts.model_copy(update={"overrides": (given,)}), law, _SOME_DAY)


def _at_its_strictest(law: Law) -> Law:
    """With every written rule that is asked of law changes speaking of this one."""

    def spoken(rule: Written) -> Written:
        return rule.model_copy(update={"when": "true"}) if asked_of(rule, Kind.LAW) else rule

    rules = {name: spoken(rule) for name, rule in law.rules.rules.items()}
    return law.model_copy(update={"rules": law.rules.model_copy(update={"rules": rules})})


def _plain_change(author: str, others: list[str], target: str) -> Facts:
    return Facts(
        number=1,
        state="open",
        branch="mend-the-law",
        target=target,
        author=author,
        requester=author,
        head=_HEAD,
        base=_BASE,
        head_in_repository=_HEAD,
        base_in_repository=_BASE,
        policy_tree=_BASE,
        files=tuple(ChangedFile(path=f"{LAW_FOLDER}{name}.yaml", mode="100644", size=100) for name in sorted(FILES)),
        findings=(),
        reviews=tuple(Review(who=login, state="approved", commit=_HEAD, at=_SOME_DAY) for login in others),
        read_at=_SOME_DAY,
    )


def why_unheard(law: Law) -> str | None:
    """The fault of a law in which a rule means to bind a kind that it is never asked of, and so would only seem to; None if none does."""
    for name, rule in law.rules.rules.items():
        for kind in _SPEAKS_OF.findall(rule.when):
            if not asked_of(rule, Kind(kind)):
                where = f"policies/rules.yaml: rules.{name}"
                return f"{where} speaks of {kind} changes and is not asked of them; write kinds: [{kind}] under it"
    return None
