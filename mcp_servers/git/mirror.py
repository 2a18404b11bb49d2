"""GitHub's branches on this machine: a bare repository, fetched again when it may be behind, in which facts are read.

`Mirrored` is the gate's `Changes` over it: what it hands out can be read in the mirror by then, and it merges only onto the
commit that was judged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from git.exc import GitCommandError

from mcp_servers.git.changes import (
    BaseMoved,
    Change,
    Changes,
    Comment,
    Proposal,
    Review,
    Status,
    StatusState,
    Turn,
)
from mcp_servers.git.command import run_git
from mcp_servers.git.github import Account
from mcp_servers.git.objects import UnknownRevision
from mcp_servers.git.proposals import Remote, failure, signed_in
from mcp_servers.git.repository import Repository

#: How old what is known of main may get when nobody tells us that it moved.
PATIENCE = timedelta(seconds=30)
FETCH_SECONDS = 120.0
BRANCHES = "+refs/heads/*:refs/heads/*"


class Mirror:
    """One repository's branches. Threads may share it; one of them fetches at a time."""

    def __init__(self, path: Path, account: Account, now: Callable[[], datetime]) -> None:
        self.path, self._account, self._now = path, account, now
        self._turn = threading.Lock()
        self._behind = threading.Event()
        self._fetched: datetime | None = None
        #: Commits that a fetch did not bring: a fork's, which no fetch will. Each is looked for once.
        self._not_there: set[str] = set()

    @property
    def repository(self) -> Repository:
        return Repository(self.path)

    def prepare(self) -> None:
        """Makes the empty repository, if it is not there."""
        if not (self.path / "HEAD").exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            init = ["init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(self.path)]
            run_git(self.path, init)

    def nudge(self) -> None:
        """Something may have moved: the next who asks fetches first."""
        self._behind.set()

    def catch_up(self) -> None:
        """Fetches if somebody nudged, or if the last fetch is too long ago."""
        fetched = self._fetched
        if self._behind.is_set() or fetched is None or self._now() - fetched >= PATIENCE:
            self.fetch()

    def fetch(self) -> None:
        """Brings every branch to where it is there, and removes those that are gone. `Unavailable`, `NotAllowed`."""
        with self._turn:
            # Before the fetch: whoever nudges while it runs is not forgotten.
            self._behind.clear()
            remote = Remote(self._account.git_url, self._account.current_token(), self._account.signature)
            git = signed_in(remote, self.path)
            try:
                git.fetch("--quiet", "--no-tags", "--prune", remote.url, BRANCHES, kill_after_timeout=FETCH_SECONDS)
            except GitCommandError as error:
                self._behind.set()
                raise failure(error, "fetch") from error
            self._fetched = self._now()

    def fetch_for(self, *commits: str | None) -> None:
        """Fetches if one of the commits is not here and was not looked for in vain before."""
        missing = {sha for sha in commits if sha and sha not in self._not_there and not self._holds(sha)}
        if missing:
            self.fetch()
            self._not_there |= {sha for sha in missing if not self._holds(sha)}

    def _holds(self, sha: str) -> bool:
        try:
            return self.repository.resolve(sha) == sha
        except UnknownRevision:
            return False


class Mirrored:
    """`Changes` of one identity, kept in step with the mirror."""

    def __init__(self, changes: Changes, mirror: Mirror) -> None:
        self._changes, self._mirror = changes, mirror

    def propose(self, proposal: Proposal) -> Change:
        made = self._changes.propose(proposal)
        self._mirror.fetch_for(made.head)
        return made

    def get(self, number: int) -> Change:
        found = self._changes.get(number)
        self._mirror.fetch_for(found.head, found.merge_commit)
        return found

    def open(self) -> list[Change]:
        self._mirror.catch_up()
        found = self._changes.open()
        self._mirror.fetch_for(*(change.head for change in found))
        return found

    def all(self, state: Literal["open", "closed", "all"] = "all") -> list[Change]:
        return self._changes.all(state)

    def reviews(self, number: int) -> list[Review]:
        return self._changes.reviews(number)

    def publish_status(
        self, head: str, context: str, state: StatusState, description: str, target_url: str = ""
    ) -> None:
        self._changes.publish_status(head, context, state, description, target_url)

    def statuses(self, head: str) -> list[Status]:
        return self._changes.statuses(head)

    def comment(self, number: int, marker: str, body: str) -> None:
        self._changes.comment(number, marker, body)

    def comments(self, number: int) -> Sequence[Comment]:
        return self._changes.comments(number)

    def turns(self, number: int) -> Sequence[Turn]:
        return self._changes.turns(number)

    def approve(self, number: int, head: str, body: str = "") -> None:
        self._changes.approve(number, head, body)

    def reject(self, number: int, why: str) -> None:
        self._changes.reject(number, why)

    def merge(self, number: int, expected_head: str, message: str) -> str:
        """GitHub takes a head to merge, and no base: that main is still what was judged is looked at here, just before."""
        target = f"refs/heads/{self._changes.get(number).base}"
        judged = self._mirror.repository.refs(target).get(target)
        self._mirror.fetch()
        if self._mirror.repository.refs(target).get(target) != judged:
            raise BaseMoved(
                f"{target.removeprefix('refs/heads/')} moved since change {number} was judged; judge it again"
            )
        commit = self._changes.merge(number, expected_head, message)
        self._mirror.fetch_for(commit)
        return commit
