"""The port to where changes to the company are proposed, judged and merged (a pull request on GitHub or on our forge).

One `Changes` object acts as one identity: the proposer's cannot merge, the gate's cannot propose, a person's cannot write
statuses. Every call reaches over the network: none inside a database transaction. Any of them may raise `Unavailable`,
`NotAllowed` or, where a number is given, `UnknownChange`; further errors are named at the call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar, Literal, Protocol

ChangeState = Literal["open", "merged", "closed"]
StatusState = Literal["pending", "success", "failure", "error"]
Verdict = Literal["approved", "changes_requested", "dismissed"]
NextStep = Literal["try_again_later", "evaluate_again", "fix_the_change", "ask_a_person", "give_up"]

#: The longest description a commit status can carry; what is longer is cut.
STATUS_DESCRIPTION_LIMIT = 140


@dataclass(frozen=True)
class Proposal:
    """A change to make: `files` maps a path to its new bytes, or to None to remove it, on top of the branch `base`.

    The branch's name is its key: the same proposal made twice is one change.
    """

    branch: str
    title: str
    body: str
    labels: tuple[str, ...]
    files: Mapping[str, bytes | None]
    message: str
    base: str = "main"
    #: 100755 for executables; every other file is 100644.
    modes: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Whether a version of the same files on an older commit of `base` is to be replaced.
    rebase: bool = False

    def on_todays_base(self) -> Proposal:
        """The same, to be made again if `base` has moved since."""
        return replace(self, rebase=True)


@dataclass(frozen=True)
class Change:
    """A proposed change as it stands now. `head` is the commit hash at the tip of `branch`, `base` the name of a branch."""

    number: int
    title: str
    body: str
    branch: str
    head: str
    base: str
    author: str
    labels: tuple[str, ...]
    state: ChangeState
    draft: bool
    created_at: datetime
    merged_at: datetime | None
    merge_commit: str | None
    url: str


def not_yet_open(
    head: str, base: str, author: str, now: datetime, *, branch: str = "", title: str = "", body: str = ""
) -> Change:
    """A change as it would be, were it proposed now; its number is 0."""
    return Change(
        number=0,
        title=title,
        body=body,
        branch=branch,
        head=head,
        base=base,
        author=author,
        labels=(),
        state="open",
        draft=False,
        created_at=now,
        merged_at=None,
        merge_commit=None,
        url="",
    )


@dataclass(frozen=True)
class Review:
    """What somebody said of the commit `head`. A verdict on an older commit than the change's head counts for nothing."""

    author: str
    head: str
    verdict: Verdict
    at: datetime
    body: str


@dataclass(frozen=True)
class Status:
    """What `creator` says of a commit under the name `context`; only the latest of each name and creator counts."""

    context: str
    state: StatusState
    description: str
    target_url: str
    creator: str
    at: datetime


@dataclass(frozen=True)
class Comment:
    """A remark on a change, its hidden marker still inside `body`."""

    author: str
    body: str
    at: datetime


class ChangesError(Exception):
    """Something did not work at the place of changes; `next_step` says what to do about it."""

    next_step: ClassVar[NextStep] = "ask_a_person"


class Unavailable(ChangesError):
    """No usable answer: network, time limit, overload. The same call may work later."""

    next_step = "try_again_later"


class RateLimited(Unavailable):
    """The place asks us to wait; `retry_at` (UTC) is when to come back."""

    def __init__(self, message: str, retry_at: datetime) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class UnknownChange(ChangesError):
    """There is no such change, branch or commit, or this identity may not see it."""

    next_step = "give_up"


class NotAllowed(ChangesError):
    """This identity may not do this; no repetition helps."""

    next_step = "ask_a_person"


class Refused(ChangesError):
    """The request itself is wrong; the message says how."""

    next_step = "fix_the_change"


class HandsOff(ChangesError):
    """Somebody else's commit is on the branch: it is theirs now, and nothing was overwritten."""

    next_step = "ask_a_person"


class HeadMoved(ChangesError):
    """The change's head is not the commit that was judged."""

    next_step = "evaluate_again"


class NotMergeable(ChangesError):
    """The change conflicts with its base, or is not open."""

    next_step = "fix_the_change"


class BaseMoved(NotMergeable):
    """The base branch moved while the merge was under way; nothing was merged."""

    next_step = "evaluate_again"


class Changes(Protocol):
    """The place of changes, seen by one identity."""

    def propose(self, proposal: Proposal) -> Change:
        """Make the change, or adopt what an earlier call made (then its state may be merged or closed).

        One commit by this identity on `proposal.branch`. If that branch already holds another version by this identity,
        that version is replaced. `HandsOff` if it holds anybody else's commit, `Refused` for a path or mode no file may have.
        """
        ...

    def get(self, number: int) -> Change: ...

    def open(self) -> list[Change]:
        """All open changes, oldest first."""
        ...

    def all(self, state: Literal["open", "closed", "all"] = "all") -> list[Change]:
        """Changes by state, oldest first; `closed` includes the merged ones."""
        ...

    def reviews(self, number: int) -> list[Review]:
        """Every review with a verdict, oldest first; an approval of an earlier head shows as dismissed."""
        ...

    def publish_status(
        self, head: str, context: str, state: StatusState, description: str, target_url: str = ""
    ) -> None: ...

    def statuses(self, head: str) -> list[Status]:
        """The latest status of each context and creator, in no promised order."""
        ...

    def comment(self, number: int, marker: str, body: str) -> None:
        """Create this identity's one comment with the hidden `marker`, or bring it up to date; equal text writes nothing."""
        ...

    def comments(self, number: int) -> Sequence[Comment]:
        """All comments, oldest first. Anybody may write any marker: trust the author, not the marker."""
        ...

    def approve(self, number: int, head: str, body: str = "") -> None:
        """Approve exactly `head`. `HeadMoved` if it is not the head (any more); `NotAllowed` for the change's own author."""
        ...

    def reject(self, number: int, why: str) -> None:
        """Say why, and close the change. Closing a closed change does nothing; `NotMergeable` if it was merged."""
        ...

    def merge(self, number: int, expected_head: str, message: str) -> str:
        """Merge exactly `expected_head`; the merge commit's hash. Already merged at that head: its merge commit again.

        `HeadMoved`, `BaseMoved`, `NotMergeable`, `NotAllowed`.
        """
        ...
