"""Rules about what is in a change: refs, paths, modes, the factory's bytes, names, tools."""

from __future__ import annotations

import re
from datetime import timedelta

from policies.access import Access
from policies.case import Case
from policies.facts import Kind, SpecFacts
from policies.kinds import is_report
from policies.verdict import Verdict, allow, deny, listed, many, pending, shown

MAX_AGE = timedelta(minutes=2)
FILE_MODES = frozenset({"100644", "100755"})
_PATH = re.compile(r"[A-Za-z0-9._/-]{1,250}")


def refs(case: Case) -> Verdict:
    """The change is open and goes where changes go, from where its author's may come."""
    facts, law = case.facts, case.law.changes
    if facts.state != "open" or facts.draft:
        return deny("refs", f"the change is {'a draft' if facts.draft else facts.state}; only open ones are merged")
    if facts.target != law.target:
        return deny("refs", f"it goes to {shown(facts.target)}; changes go to {law.target}")
    if not case.by_person and not facts.branch.startswith(law.agents_branches):
        return deny("refs", f"its branch is {shown(facts.branch)}; an agent's begins with {law.agents_branches}")
    return allow("refs", f"open, from {shown(facts.branch)} to {law.target}")


def fresh(case: Case) -> Verdict:
    """What was read is what there is: the two refs did not move meanwhile, and it was read just now."""
    facts = case.facts
    if facts.head != facts.head_in_repository:
        return pending("fresh", "the branch moved while it was read; it is judged again by itself", case.now)
    if facts.base != facts.base_in_repository:
        return pending("fresh", f"{facts.target} moved while it was read; it is judged again by itself", case.now)
    if case.now - facts.read_at > MAX_AGE:
        return pending("fresh", "what is known of the change is too old; it is read and judged again", case.now)
    return allow("fresh", f"of exactly {facts.head[:12]} onto {facts.base[:12]}")


def mergeable(case: Case) -> Verdict:
    """It merges cleanly."""
    if case.facts.conflicts is not None:
        where = listed(case.facts.conflicts) or "its history"
        return deny("mergeable", f"conflicts with {case.facts.target} in {where}; propose it again from there")
    return allow("mergeable", f"merges cleanly into {case.facts.target}")


def paths(case: Case) -> Verdict:
    """It changes something, and only plain files under plain names."""
    files = case.facts.files
    if not files:
        return deny("paths", "it changes nothing; close it")
    if odd := [file.path for file in files if not _is_plain(file.path)]:
        return deny("paths", f"paths are letters, digits and . _ - / only, without '..' and '.git': {listed(odd)}")
    if odd := [f"{file.path} ({file.mode})" for file in files if file.mode not in {None, *FILE_MODES}]:
        return deny("paths", f"only plain files (100644, 100755), no links or submodules: {listed(odd)}")
    folded = [file.path.casefold() for file in files if file.mode is not None]
    if len(set(folded)) < len(folded):
        return deny("paths", "two of its paths differ in upper and lower case only; rename one")
    return allow("paths", many(len(files), "plain file"))


def _is_plain(path: str) -> bool:
    parts = path.split("/")
    return bool(_PATH.fullmatch(path)) and not any(
        part in {"", ".", ".."} or part.casefold() == ".git" for part in parts
    )


def sizes(case: Case) -> Verdict | None:
    """An agent's change is small enough for a person to read."""
    if case.by_person:
        return None
    limits, files = case.law.limits.agents_change, case.facts.files
    if limits.files is not None and len(files) > limits.files:
        return deny("sizes", f"{len(files)} files are more than the {limits.files} of agents_change.files; split it")
    if limits.file_bytes is not None and (large := [it.path for it in files if it.size > limits.file_bytes]):
        return deny("sizes", f"more than {limits.file_bytes} bytes (agents_change.file_bytes): {listed(large)}")
    total = sum(file.size for file in files)
    if limits.total_bytes is not None and total > limits.total_bytes:
        return deny("sizes", f"{total} bytes are more than the {limits.total_bytes} of agents_change.total_bytes")
    return allow("sizes", f"{many(total, 'byte')} in {many(len(files), 'file')}")


def spec(case: Case) -> Verdict | None:
    """`team.yaml` is a team, and the folder's own."""
    team = case.team
    if team is None or case.kind in (Kind.RETIRE_TEAM, Kind.ROLLBACK_TEAM):
        return None
    if team.problem is not None or team.spec_after is None:
        return deny("spec", f"{team.path}/team.yaml: {(team.problem or 'it is missing; add it')[:400]}")
    if team.spec_after.folder != team.folder:
        return deny(
            "spec", f"{team.path}/team.yaml names the team {shown(team.spec_after.name)}; name and folder must agree"
        )
    zone = case.law.changes.reserved_names.get(team.spec_after.name)
    if zone is not None and zone != team.zone:
        return deny("spec", f"the name '{team.spec_after.name}' is reserved to {zone}/; choose another")
    return allow(
        "spec", f"team '{team.spec_after.name}', {team.spec_after.members} members, {team.spec_after.framework}"
    )


def rerender(case: Case) -> Verdict | None:
    """Every file of the folder is, byte for byte, what the factory makes of its `team.yaml`."""
    team = case.team
    if team is None or case.kind is Kind.RETIRE_TEAM:
        return None
    if case.kind is Kind.ROLLBACK_TEAM:
        return allow("rerender", "equals a tree of this team that was deployed and found healthy")
    if team.problem is not None:
        return deny("rerender", "without a readable team.yaml there is nothing to compare the files with")
    parts = (
        ("edited by hand", team.different),
        ("not made by the factory", team.extra),
        ("missing", team.missing),
    )
    if found := [f"{what}: {listed(names)}" for what, names in parts if names]:
        return deny(
            "rerender", f"the folder is not what the factory makes of team.yaml; {'; '.join(found)}; render it again"
        )
    return allow("rerender", "every file equals what the factory makes of team.yaml")


def reports(case: Case) -> Verdict | None:
    """What parents know of the teams below them is, after the merge, what follows from all teams' specs: no more, no less."""
    found = case.facts.reports
    # The way back to a healthy state of one team is not barred by another team's fault.
    elsewhere = case.kind is Kind.ROLLBACK_TEAM and not any(is_report(file.path) for file in case.facts.files)
    if found is None or (elsewhere and found.problem is not None):
        return None
    if found.problem is not None:
        return deny("reports", f"who reports to whom cannot be computed: {found.problem[:400]}")
    parts = (("not as their teams are", found.different), ("of no team", found.extra), ("missing", found.missing))
    if wrong := [f"{what}: {listed(names)}" for what, names in parts if names]:
        return deny(
            "reports",
            f"a parent would not know its teams as they are; {'; '.join(wrong)}; by hand, './elf factory reports FOLDER' writes them "
            "anew in a checkout of the branch; else propose it again from today's main",
        )
    return allow("reports", "every parent learns of it in this change")


def free_name(case: Case) -> Verdict | None:
    """A new team does not take the name of a living one."""
    team = case.team
    if team is None or case.kind is not Kind.NEW_TEAM:
        return None
    if team.namesakes:
        where = ", ".join(f"{zone}/{folder}" for zone, folder in team.namesakes)
        return deny(
            "free_name", f"there is a team of that name already: {where}; choose another name, or change that team"
        )
    return allow("free_name", "no other team has this name")


def tools(case: Case) -> Verdict | None:
    """A team asks for no tool that it would not get."""
    team = case.team
    if team is None or team.spec_after is None or case.kind in (Kind.RETIRE_TEAM, Kind.ROLLBACK_TEAM):
        return None
    if refused := _refused_tools(team.spec_after, case.law.access, team.catalogue_tools):
        return deny(
            "tools",
            f"not granted in policies/access.yaml, nor in the catalogue: {listed(refused)}; leave them out, or have them "
            "granted or admitted first",
        )
    return allow("tools", f"{many(len(team.spec_after.tools), 'tool')} asked for, all granted")


def _refused_tools(team: SpecFacts, access: Access, in_catalogue: frozenset[str]) -> list[str]:
    asked, named = team.tools, in_catalogue if access.named_in_team else frozenset[str]()
    return [
        f"{member} {tool}"
        for member, manager, tool in asked
        if tool not in named and not access.may(team.name, member, tool, manager=manager)
    ]
