"""What a merge would bring into the target's history beside what it leaves there: a branch's own commits stay readable for ever.

A file that one commit adds and the next takes away is in no tree that is compared, and in every clone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mcp_servers.git.objects import Entry, Held, Step
from mcp_servers.git.repository import Repository
from policies.facts import ChangedFile, HistoryFacts

#: More than this is not looked through, and what was not looked through is not merged.
MOST_COMMITS = 200
MOST_OBJECTS = 20_000
MOST_PASSING = 2_000
_GONE = "000000"


@dataclass(frozen=True)
class History:
    """The commits that would be new in the target, newest first. With a `problem` the rest is not known."""

    commits: tuple[str, ...] = ()
    #: What stood in one of them and neither stands in the target now nor would after the merge.
    passing: tuple[Step, ...] = ()
    #: Every blob that would be new in the target, by its hash.
    blobs: tuple[Held, ...] = ()
    problem: str | None = None

    def facts(self) -> HistoryFacts:
        """The same for the rules."""
        sizes = {blob.sha: blob.size for blob in self.blobs}
        passed = {(it.path, it.mode, sizes.get(it.sha, 0)) for it in self.passing}
        files = (
            ChangedFile(path=path, mode=None if mode == _GONE else mode, size=size)
            for path, mode, size in sorted(passed)
        )
        return HistoryFacts(commits=len(self.commits), passing=tuple(files), problem=self.problem)


def read_history(
    repository: Repository, base: str, head: str, before: Iterable[Entry], after: Iterable[Entry]
) -> History:
    """What merging `head` into `base` brings; `before` and `after` are the target's leaves without and with it."""
    commits = repository.commits(head, without=base, limit=MOST_COMMITS + 1)
    if len(commits) > MOST_COMMITS:
        return History(
            tuple(commits), problem=f"the branch has more than {MOST_COMMITS} commits of its own; squash some of them"
        )
    held = repository.held(head, without=base)
    if len(held) > MOST_OBJECTS:
        return History(
            tuple(commits),
            problem=f"its commits hold {len(held)} files and folders, more than {MOST_OBJECTS}; split it",
        )
    staying = {(it.path, it.mode, it.sha) for entries in (before, after) for it in entries}
    left = {it.path for it in after}
    passing = [
        it
        for it in repository.steps(commits)
        if ((it.path, it.mode, it.sha) not in staying if it.mode != _GONE else it.path in left)
    ]
    if len(passing) > MOST_PASSING:
        why = (
            f"its commits change {len(passing)} files that it does not leave so, more than {MOST_PASSING}; squash them"
        )
        return History(tuple(commits), problem=why)
    return History(tuple(commits), tuple(passing), tuple(it for it in held if it.kind == "blob"))
