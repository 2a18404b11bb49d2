"""Reads what the gate must know of a change: from Git, from its reviews, and from what the company remembers.

Nothing of the change is executed or imported here; its files are bytes to compare. What is judged is the tree that the merge would
give, against the law as it stands at the base commit. An error in reading is either a fact or an exception, and both end in a no.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from mcp_servers.git.changes import Change, Review
from mcp_servers.git.chart_facts import concerns_reports, reports_facts
from mcp_servers.git.compared import compare
from mcp_servers.git.factory import Factory, Zone
from mcp_servers.git.history import History, read_history
from mcp_servers.git.objects import Conflict, Entry, UnknownRevision
from mcp_servers.git.repository import Repository
from mcp_servers.git.server_facts import catalogue_tools, server_facts
from policies import facts, lasting, law
from policies.facts import ChangedFile, Facts, Kind, LawFacts, Override, Slot, SpecFacts, TeamFacts
from policies.kinds import LAW_FOLDER, one_server_folder, team_folder, touched_folders
from policies.money import usd_micro
from teams.spec import TeamSpec

MAX_FILE = 256_000
SPEC_FILE = "team.yaml"
_MOST_TWINS = 50


@dataclass(frozen=True)
class Base:
    """Where a change would go: the commit, and the law that stands there."""

    commit: str
    law: law.Law
    policy_tree: str


@dataclass(frozen=True)
class Remembered:
    """What the company's rows say of a change."""

    requester: str | None = None
    asked_for: Kind | None = None
    on_behalf_of: str | None = None
    verified_trees: frozenset[str] = frozenset()
    ill_trees: frozenset[str] = frozenset()
    slots: tuple[Slot, ...] = ()
    open_before: int = 0
    overrides: tuple[Override, ...] = ()
    #: When a person last opened the change again after it had been closed; None if nobody did.
    reopened_at: datetime | None = None
    #: When the head was first judged; None: just now.
    judged_first: datetime | None = None


@dataclass(frozen=True)
class Contents:
    """What the merge would change. `tree` is the resulting one (the head's, where the two conflict)."""

    tree: str
    conflicts: tuple[str, ...] | None
    files: tuple[ChangedFile, ...]
    #: The one team folder touched, if nothing else is: (zone, folder).
    folder: tuple[str, str] | None
    before: tuple[Entry, ...]
    after: tuple[Entry, ...]
    #: What else the merge would bring into the target's history.
    history: History
    #: The one tool server's folder touched, if nothing else is.
    server: str | None = None

    @property
    def team_path(self) -> str | None:
        return "/".join(self.folder) if self.folder else None


def read_base(repository: Repository, branch: str) -> Base:
    """The branch's commit and the law in it. Raises `policies.law.BadLaw`, `UnknownRevision`."""
    commit = repository.resolve(branch)
    return Base(commit, read_law(repository, commit), repository.tree(commit, law.FOLDER) or "")


def read_law(repository: Repository, revision: str) -> law.Law:
    """The law as it stands at a commit, or in a tree. Raises `policies.law.BadLaw`."""
    entries = [entry for entry in repository.listing(revision, law.FOLDER) if entry.path.endswith((".yaml", ".yml"))]
    if large := [entry.path for entry in entries if entry.size is None or entry.size > MAX_FILE]:
        raise law.BadLaw(f"{large[0]} is larger than {MAX_FILE} bytes; shorten it")
    blobs = repository.blobs([entry.sha for entry in entries])
    return law.read({entry.path: data for entry, data in zip(entries, blobs, strict=True)})


def read_contents(repository: Repository, base: str, head: str) -> Contents:
    """What merging `head` into `base` would change, path by path. Raises `NoMergeBase`."""
    merged = repository.merge_tree(base, head)
    conflicts, tree = (merged.paths, head) if isinstance(merged, Conflict) else (None, merged)
    before, after = tuple(repository.listing(base)), tuple(repository.listing(tree))
    if conflicts is None:
        files = _difference(before, after)
    else:
        changed = repository.changes(base, head)
        files = tuple(ChangedFile(path=it.path, mode=None if it.status == "D" else it.new_mode) for it in changed)
    history = read_history(repository, base, head, before, after)
    return Contents(tree, conflicts, files, _one_folder(files), before, after, history, _one_server(files))


def build(
    repository: Repository,
    factory: Factory,
    change: Change,
    base: Base,
    contents: Contents,
    reviews: Sequence[Review],
    remembered: Remembered,
    now: datetime,
) -> Facts:
    """All facts of the change, for one verdict."""
    team = _team(repository, factory, base.commit, contents, remembered) if contents.folder else None
    networks = base.law.access.own_networks
    server = (
        server_facts(repository, base.commit, contents.tree, contents.server, networks) if contents.server else None
    )
    return Facts(
        number=change.number,
        state=change.state,
        draft=change.draft,
        branch=change.branch,
        target=change.base,
        author=change.author,
        requester=remembered.requester or change.author,
        asked_for=remembered.asked_for,
        on_behalf_of=remembered.on_behalf_of,
        head=change.head,
        base=base.commit,
        head_in_repository=_tip(repository, change.branch),
        base_in_repository=_tip(repository, change.base),
        policy_tree=base.policy_tree,
        conflicts=contents.conflicts,
        files=contents.files,
        twins=twins(contents.before, contents.after),
        history=contents.history.facts(),
        team=team,
        server=server,
        reports=reports_facts(repository, factory, contents.tree) if concerns_reports(contents.files) else None,
        reviews=tuple(_review(review) for review in reviews if not _lapsed(review, remembered)),
        slots=remembered.slots,
        open_before=remembered.open_before,
        overrides=remembered.overrides,
        law=_law_after(repository, contents, change, base.law, reviews),
        moved_at=_moved_at(change, reviews, remembered, now),
        read_at=now,
    )


def _law_after(
    repository: Repository, contents: Contents, change: Change, before: law.Law, reviews: Sequence[Review]
) -> LawFacts | None:
    """What becomes of policies/, if the change touches it. A law that nobody could read, or change, would stop everything."""
    if not any(file.path.startswith(LAW_FOLDER) for file in contents.files):
        return None
    tree = repository.tree(contents.tree, law.FOLDER)
    try:
        after = read_law(repository, contents.tree)
    except law.BadLaw as error:
        return LawFacts(tree=tree, problem=str(error)[:1000])
    # Whoever binds today, opened this or reviewed it is there; of a login that it merely lists nobody knows.
    known = {*before.changes.people, change.author, *(review.author for review in reviews)}
    return LawFacts(
        tree=tree,
        problem=lasting.why_unheard(after),
        locked=lasting.why_locked(after, target=change.base),
        unproven=lasting.why_locked(after, known, target=change.base),
    )


def _moved_at(change: Change, reviews: Sequence[Review], remembered: Remembered, now: datetime) -> datetime:
    """When somebody last did something to it. What its own author says of it does not count, but a new commit does."""
    reviewed = [it.at for it in reviews if it.author != change.author and it.verdict != "commented"]
    overridden = [override.at for override in remembered.overrides]
    if remembered.reopened_at is not None:
        reviewed.append(remembered.reopened_at)
    return max(change.created_at, remembered.judged_first or now, *reviewed, *overridden)


def spec_facts(spec: TeamSpec) -> SpecFacts:
    """What the rules need of a spec."""
    return SpecFacts(
        name=spec.name,
        folder=spec.folder,
        framework=spec.framework,
        members=len(spec.members),
        daily_budget_usd_micro=usd_micro(spec.daily_budget_usd),
        tools=tuple((member.name, member.manager, tool) for member in spec.members for tool in member.tools),
    )


def namesakes(before: Iterable[Entry], zone: str, folder: str) -> tuple[tuple[str, str], ...]:
    """Other team folders whose name is the same but for upper and lower case, in any zone."""
    folders = {found for entry in before if (found := team_folder(entry.path)) is not None}
    same = {it for it in folders if it[1].casefold() == folder.casefold()}
    return tuple(sorted(same - {(zone, folder)}))


def twins(before: Iterable[Entry], after: Iterable[Entry]) -> tuple[tuple[str, str], ...]:
    """Paths that come new beside another (a file, or a folder on the way) that is the same but for upper and lower case.

    Where case does not count, as on many people's machines, one of the two cannot be checked out.
    """
    known = {entry.path for entry in before}
    left = [entry.path for entry in after]
    if len(left) == len(known) and known.issuperset(left):
        return ()
    spelled: dict[str, set[str]] = {}
    for path in left:
        for one in _with_folders(path):
            spelled.setdefault(one.casefold(), set()).add(one)
    found: set[tuple[str, str]] = set()
    for path in left:
        if path not in known:
            pairs = ((one, other) for one in _with_folders(path) for other in spelled[one.casefold()] if other != one)
            found |= {(path, other) for _, other in pairs}
    return tuple(sorted(found))[:_MOST_TWINS]


def _with_folders(path: str) -> Iterator[str]:
    """The path, and each folder that it lies in."""
    yield path
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _team(repository: Repository, factory: Factory, base: str, contents: Contents, remembered: Remembered) -> TeamFacts:
    assert contents.folder is not None
    zone, folder = contents.folder
    path = f"{zone}/{folder}"
    read = TeamFacts(
        zone=zone,
        folder=folder,
        tree_before=repository.tree(base, path),
        tree_after=repository.tree(contents.tree, path),
        verified_trees=remembered.verified_trees,
        ill_trees=remembered.ill_trees,
        namesakes=namesakes(contents.before, zone, folder),
    )
    before = _spec_or_none(repository, factory, base, path) if read.tree_before else None
    read = read.model_copy(update={"spec_before": before})
    return read if read.tree_after is None else _rendered(repository, factory, base, contents.tree, read)


def _rendered(repository: Repository, factory: Factory, base: str, tree: str, team: TeamFacts) -> TeamFacts:
    """The facts, with what the factory makes of the folder's `team.yaml`."""
    try:
        spec = _spec(repository, factory, tree, team.path)
        expected = factory.render(spec, cast(Zone, team.zone))
        month = factory.forecast(spec)
    except Exception as error:  # noqa: BLE001 (whatever the factory does with a stranger's text, it is the text's problem)
        return team.model_copy(update={"problem": f"{type(error).__name__}: {str(error)[:1000]}"})
    missing, extra, different = compare(expected, repository.listing(tree, team.path), team.path)
    asked = spec_facts(spec)
    return team.model_copy(
        update={
            "spec_after": asked,
            "catalogue_tools": catalogue_tools(repository, base, (tool for _, _, tool in asked.tools)),
            "forecast_usd_micro_month": month,
            "missing": missing,
            "extra": extra,
            "different": different,
        }
    )


def _spec(repository: Repository, factory: Factory, tree: str, path: str) -> TeamSpec:
    entry = next(
        (it for it in repository.listing(tree, f"{path}/{SPEC_FILE}") if it.path == f"{path}/{SPEC_FILE}"), None
    )
    if entry is None or entry.kind != "blob" or entry.size is None:
        raise ValueError(f"{path}/{SPEC_FILE} is missing; add it")
    if entry.size > MAX_FILE:
        raise ValueError(f"{path}/{SPEC_FILE} has {entry.size} bytes; {MAX_FILE} are allowed")
    return factory.load(repository.blobs([entry.sha])[0])


def _spec_or_none(repository: Repository, factory: Factory, commit: str, path: str) -> SpecFacts | None:
    """The team as it is in main. Unreadable there, it limits nothing: the rules then compare with nothing."""
    try:
        return spec_facts(_spec(repository, factory, commit, path))
    except Exception:  # noqa: BLE001 (an old spec that today's factory cannot read is a fact: there is none)
        return None


def _difference(before: Iterable[Entry], after: Iterable[Entry]) -> tuple[ChangedFile, ...]:
    old, new = {entry.path: entry for entry in before}, {entry.path: entry for entry in after}
    gone = [ChangedFile(path=path, mode=None) for path in old if path not in new]
    changed = [
        ChangedFile(path=path, mode=entry.mode, size=entry.size or 0)
        for path, entry in new.items()
        if path not in old or (old[path].mode, old[path].sha) != (entry.mode, entry.sha)
    ]
    return tuple(sorted((*gone, *changed), key=lambda file: file.path))


def _one_folder(files: Iterable[ChangedFile]) -> tuple[str, str] | None:
    folders = touched_folders(file.path for file in files)
    return next(iter(folders)) if len(folders) == 1 else None


def _one_server(files: Iterable[ChangedFile]) -> str | None:
    return one_server_folder(file.path for file in files)


def _tip(repository: Repository, branch: str) -> str:
    """The branch's commit in the repository, as it is now; empty if it is not there."""
    try:
        return repository.refs(f"refs/heads/{branch}").get(f"refs/heads/{branch}", "")
    except UnknownRevision:
        return ""


def _lapsed(review: Review, remembered: Remembered) -> bool:
    """Whether it is an approval from before the change was closed: who opens it again wants it looked at, not merged at once."""
    again = remembered.reopened_at
    return again is not None and review.verdict == "approved" and review.at <= again


def _review(review: Review) -> facts.Review:
    return facts.Review(who=review.author, state=review.verdict, commit=review.head, at=review.at, body=review.body)
