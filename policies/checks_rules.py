"""Rules about what a change must survive before a person's yes can merge it: how it reads, what it hides, what came of running it."""

from __future__ import annotations

from policies.case import Case
from policies.facts import Finding, Kind
from policies.verdict import Verdict, allow, deny, needs_approval, pending, shown

#: Kinds whose whole folder is made by a factory: they are held against what a factory makes.
_MADE = frozenset({Kind.NEW_TEAM, Kind.CHANGE_TEAM, Kind.NEW_SERVER, Kind.CHANGE_SERVER})


def text(case: Case) -> Verdict | None:
    """Its files and words read as they are: UTF-8, nothing invisible, nothing that reorders."""
    return _nothing(case, "text", "nothing invisible in its files and words")


def secrets(case: Case) -> Verdict | None:
    """No key of the company's and nothing that looks like one, in files, title, body, commit messages and comments."""
    verdict = _nothing(case, "own_secrets", "no secret in its files and words", "secrets")
    if not verdict.allowed or (alike := _first(case, "secrets")) is None:
        return verdict
    said = f"{alike.where}: {alike.what}{_more(case, 'secrets')}"
    if case.kind in _MADE or not case.by_person:
        return deny("secrets", f"{said}; take it out, and change it if it is real")
    # A person's change to the platform may carry a made-up key in a test: somebody else looks at it.
    if case.approvals:
        return allow("secrets", f"{said}; {', '.join(case.approvers)} saw it and approved")
    return needs_approval("secrets", f"{said}; take it out, or have somebody approve it if it is none")


def code(case: Case) -> Verdict | None:
    """Generated Python stays within what templates make: no other import, no other name."""
    return _nothing(case, "code", "its Python parses and stays within what templates make") if _is_made(case) else None


def manifests(case: Case) -> Verdict | None:
    """Its manifests fit the restricted Pod Security Standard and refer to what is there."""
    return _nothing(case, "manifests", "its manifests hold") if _is_made(case) else None


def checks(case: Case) -> Verdict | None:
    """Its code was linted, typed, imported and tested in a sandbox. What did not run did not pass."""
    if not _is_made(case):
        return None
    team, run = case.team, case.facts.check_run
    if team is not None and team.tree_after in team.verified_trees:
        return allow("checks", "equals a tree that was deployed and found healthy")
    if run is None:
        return pending("checks", "nobody has run its code yet; it is judged again by itself")
    if run.state == "running":
        return pending("checks", f"{run.said}; it is judged again by itself")
    if run.state == "passed":
        return allow("checks", run.said)
    if run.state == "failed":
        return deny("checks", f"{run.said}; propose it again, mended")
    accepted = case.law.checks.without_sandbox
    if accepted is None:
        return deny("checks", f"not executed: {run.said}")
    if reason := case.said(accepted):
        return allow("checks", f"not executed: {run.said[:200]}; accepted by {shown(reason, 200)}")
    how = f"{accepted.words} <reason of {accepted.reason_of_at_least} letters or more>"
    return needs_approval("checks", f'not executed: {run.said[:350]}; approve with "{how}" to accept that')


def _is_made(case: Case) -> bool:
    """Whether a factory's folder is there after the merge."""
    folder = case.team or case.server
    return case.kind in _MADE and folder is not None and folder.tree_after is not None


def _nothing(case: Case, check: str, well: str, rule: str = "") -> Verdict:
    if case.facts.findings is None:
        return deny(rule or check, "nobody looked at it; a person must look into it")
    found = _first(case, check)
    return (
        allow(rule or check, well)
        if found is None
        else deny(rule or check, f"{found.where}: {found.what}{_more(case, check)}")
    )


def _first(case: Case, check: str) -> Finding | None:
    return next((one for one in case.facts.findings or () if one.check == check), None)


def _more(case: Case, check: str) -> str:
    count = sum(one.check == check for one in case.facts.findings or ()) - 1
    return f" (and {count} more)" if count else ""
