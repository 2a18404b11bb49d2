"""Changes as pull requests, through PyGithub: on GitHub, or on the embedded forge, which answers alike."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from github import Auth, Github, GithubException, UnknownObjectException
from github.GithubException import BadAttributeException
from github.PullRequest import PullRequest
from github.Repository import Repository as GitHubRepository
from requests.exceptions import RequestException
from urllib3.util import Retry

from mcp_servers.git.changes import (
    STATUS_DESCRIPTION_LIMIT,
    Change,
    ChangesError,
    ChangeState,
    Comment,
    HeadMoved,
    NotAllowed,
    NotMergeable,
    Proposal,
    Review,
    Status,
    StatusState,
    Unavailable,
    Verdict,
)
from mcp_servers.git.github_courtesy import Courtesy
from mcp_servers.git.github_errors import already_exists, translated
from mcp_servers.git.objects import Signature
from mcp_servers.git.proposals import BranchMoved, Remote, push_proposal

TIMEOUT_SECONDS = 15
ATTEMPTS = 3
VERDICTS: dict[str, Verdict] = {
    "APPROVED": "approved",
    "CHANGES_REQUESTED": "changes_requested",
    "DISMISSED": "dismissed",
}
STATES: dict[str, StatusState] = {state: state for state in ("pending", "success", "failure", "error")}


@dataclass(frozen=True)
class Account:
    """One identity at one repository. `api_url` ends in `/api/v3` (on GitHub: `https://api.github.com`)."""

    api_url: str
    git_url: str
    repo: str
    login: str
    token: str
    email: str = ""
    #: GitHub asks for no more changes than this; None where nobody counts.
    writes_a_minute: int | None = 80
    #: Gives a token that still lasts, where tokens end (an App's); `token` counts for nothing then.
    renewed: Callable[[], str] | None = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        return f"Account({self.repo!r}, {self.login!r})"

    def current_token(self) -> str:
        """The token to use now. An App's may have to be fetched: `Unavailable`, `NotAllowed`."""
        return self.renewed() if self.renewed is not None else self.token

    def named(self, login: str) -> Account:
        """The same, now that it is known whose it is."""
        return replace(self, login=login)

    @property
    def signature(self) -> Signature:
        return Signature(self.login, self.email or f"{self.login}@elf.local")


class CurrentToken(Auth.Token):
    """PyGithub's way to sign in, which asks the account for its token at every request."""

    def __init__(self, account: Account) -> None:
        super().__init__(account.token or "renewed")
        self._account = account

    @property
    def token(self) -> str:
        return self._account.current_token()


class GitHubChanges:
    """The `Changes` of one identity. Usable from several threads; `close` it at the end."""

    def __init__(self, account: Account, now: Callable[[], datetime]) -> None:
        self.account = account
        self._now = now
        self._courtesy = Courtesy(account.writes_a_minute, now)
        # PyGithub's connection is not made for threads: each call takes a client of its own from here.
        self._idle: list[Github] = []

    def propose(self, proposal: Proposal) -> Change:
        for _ in range(ATTEMPTS - 1):
            try:
                return self._propose(proposal)
            except BranchMoved:
                continue
        return self._propose(proposal)

    def get(self, number: int) -> Change:
        with self._repository() as repository:
            return _change(repository.get_pull(number))

    def open(self) -> list[Change]:
        return self.all("open")

    def all(self, state: Literal["open", "closed", "all"] = "all") -> list[Change]:
        with self._repository() as repository:
            return [_change(pull) for pull in repository.get_pulls(state=state, sort="created", direction="asc")]

    def reviews(self, number: int) -> list[Review]:
        with self._repository() as repository:
            pull = repository.get_pull(number)
            head = pull.head.sha
            found = [review for review in pull.get_reviews() if review.state in VERDICTS]
            return [
                Review(
                    review.user.login,
                    review.commit_id,
                    _standing_verdict(VERDICTS[review.state], review.commit_id, head),
                    _utc(review.submitted_at),
                    review.body or "",
                )
                for review in found
            ]

    def publish_status(
        self, head: str, context: str, state: StatusState, description: str, target_url: str = ""
    ) -> None:
        short = (
            description
            if len(description) <= STATUS_DESCRIPTION_LIMIT
            else f"{description[: STATUS_DESCRIPTION_LIMIT - 1]}…"
        )
        with self._repository() as repository:
            commit = repository.get_commit(head)
            if target_url:
                commit.create_status(state, target_url=target_url, description=short, context=context)
            else:
                commit.create_status(state, description=short, context=context)

    def statuses(self, head: str) -> list[Status]:
        with self._repository() as repository:
            latest: dict[tuple[str, str], Status] = {}
            for found in repository.get_commit(head).get_statuses():
                key = (found.context, found.creator.login)
                url, at = found.target_url or "", _utc(found.created_at)
                latest.setdefault(key, Status(key[0], STATES[found.state], found.description or "", url, key[1], at))
            return list(latest.values())

    def comment(self, number: int, marker: str, body: str) -> None:
        hidden = f"<!-- elf:{marker} -->"
        text = f"{hidden}\n{body}"
        with self._repository() as repository:
            issue = repository.get_issue(number)
            for comment in issue.get_comments():
                if comment.user.login == self.account.login and comment.body.startswith(hidden):
                    if comment.body != text:
                        comment.edit(text)
                    return
            issue.create_comment(text)

    def comments(self, number: int) -> list[Comment]:
        with self._repository() as repository:
            found = repository.get_issue(number).get_comments()
            return [Comment(comment.user.login, comment.body, _utc(comment.created_at)) for comment in found]

    def approve(self, number: int, head: str, body: str = "") -> None:
        with self._repository() as repository:
            pull = repository.get_pull(number)
            if pull.state != "open":
                raise NotMergeable(f"change {number} is not open any more; there is nothing to approve")
            if pull.head.sha != head:
                raise HeadMoved(
                    f"change {number} is at {pull.head.sha} now, not at {head}; look at it again, then approve"
                )
            if pull.user.login == self.account.login:
                raise NotAllowed(f"{self.account.login} made change {number} and cannot approve it; somebody else must")
            pull.create_review(repository.get_commit(head), body, "APPROVE")

    def reject(self, number: int, why: str) -> None:
        state = self.get(number).state
        if state == "merged":
            raise NotMergeable(f"change {number} is merged already; to undo it, propose its revert (docs/forge.md)")
        if state == "closed":
            return
        self.comment(number, "rejected", why)
        with self._repository() as repository:
            repository.get_pull(number).edit(state="closed")

    def merge(self, number: int, expected_head: str, message: str) -> str:
        title, _, rest = message.partition("\n")
        try:
            with self._repository() as repository:
                pull = repository.get_pull(number)
                done = pull.merge(rest.strip(), commit_title=title, merge_method="merge", sha=expected_head)
                return done.sha
        except (NotMergeable, HeadMoved) as refusal:
            return self._merged_before(number, expected_head, refusal)

    def withdraw(self, branch: str) -> None:
        """Removes this identity's branch that no pull request came of; one that is not there, or serves one, is left as it is."""
        with self._repository() as repository:
            owner = self.account.repo.split("/")[0]
            if next(iter(repository.get_pulls(state="all", head=f"{owner}:{branch}")), None) is not None:
                return
            try:
                # Read first: only then does PyGithub know the address at which a ref is deleted.
                repository.get_git_ref(f"heads/{branch}").complete().delete()
            except UnknownObjectException:
                return

    def close(self) -> None:
        """Close the connections that are idle."""
        while self._idle:
            self._idle.pop().close()

    # ------------------------------------------------------------------ leaves

    def _propose(self, proposal: Proposal) -> Change:
        """Look for what an earlier call left at each step, then do only what is missing."""
        with self._repository() as repository:
            pull = self._pull_of(repository, proposal)
            if pull is not None and pull.state != "open":
                return _change(pull)
            tip = pull.head.sha if pull is not None else _tip(repository, proposal.branch)
            remote = Remote(self.account.git_url, self.account.current_token(), self.account.signature)
            head = push_proposal(remote, proposal, tip, self._now())
            if pull is None:
                pull = self._create(repository, proposal)
            elif (pull.title, pull.body) != (proposal.title, proposal.body):
                pull.edit(title=proposal.title, body=proposal.body)
            return replace(_change(pull), head=head, labels=_labelled(pull, proposal.labels))

    def _pull_of(self, repository: GitHubRepository, proposal: Proposal) -> PullRequest | None:
        """The newest pull request of the proposal's branch, whatever its state."""
        owner = self.account.repo.split("/")[0]
        found = repository.get_pulls(
            state="all", head=f"{owner}:{proposal.branch}", base=proposal.base, direction="desc"
        )
        return next(iter(found), None)

    def _create(self, repository: GitHubRepository, proposal: Proposal) -> PullRequest:
        try:
            return repository.create_pull(proposal.base, proposal.branch, title=proposal.title, body=proposal.body)
        except GithubException as error:
            pull = self._pull_of(repository, proposal) if already_exists(error) else None
            if pull is None:
                raise
            return pull

    def _merged_before(self, number: int, expected_head: str, refusal: ChangesError) -> str:
        """After a refusal to merge: the merge commit if the change is merged at that head already, else the refusal."""
        change = self.get(number)
        if change.state == "merged" and change.head == expected_head and change.merge_commit:
            return change.merge_commit
        if change.head != expected_head:
            raise HeadMoved(
                f"change {number} is at {change.head} now, not at {expected_head}; evaluate it again"
            ) from refusal
        raise refusal

    @contextmanager
    def _repository(self) -> Generator[GitHubRepository, None, None]:
        """The repository on a client of this call's own; what goes wrong leaves as the port's errors."""
        try:
            client = self._idle.pop()
        except IndexError:
            client = self._connect()
        try:
            yield client.get_repo(self.account.repo)
        except GithubException as error:
            raise translated(error) from error
        except (RequestException, BadAttributeException, AttributeError, TypeError) as error:
            # The last two are how PyGithub meets an answer that is JSON but not GitHub's.
            raise Unavailable(
                f"{self.account.api_url} gave no usable answer ({type(error).__name__}); try later"
            ) from error
        finally:
            self._idle.append(client)

    def _connect(self) -> Github:
        """A client that waits for the answer, and for GitHub's limits: PyGithub's pauses and retry storms are off."""
        once_more = Retry(total=1, status=0, allowed_methods={"GET"}, respect_retry_after_header=False)
        client = Github(
            base_url=self.account.api_url,
            auth=CurrentToken(self.account),
            timeout=TIMEOUT_SECONDS,
            retry=once_more,
            seconds_between_requests=None,
            seconds_between_writes=None,
            per_page=100,
            lazy=True,
        )
        self._courtesy.accompany(client)
        return client


def _change(pull: PullRequest) -> Change:
    state: ChangeState = "open" if pull.state == "open" else "merged" if pull.merged_at else "closed"
    return Change(
        number=pull.number,
        title=pull.title,
        body=pull.body or "",
        branch=pull.head.ref,
        head=pull.head.sha,
        base=pull.base.ref,
        author=pull.user.login,
        labels=tuple(label.name for label in pull.labels),
        state=state,
        draft=pull.draft,
        created_at=_utc(pull.created_at),
        merged_at=_utc(pull.merged_at) if pull.merged_at else None,
        merge_commit=pull.merge_commit_sha if state == "merged" else None,
        url=pull.html_url,
    )


def _tip(repository: GitHubRepository, branch: str) -> str | None:
    try:
        return repository.get_git_ref(f"heads/{branch}").object.sha
    except UnknownObjectException:
        return None


def _labelled(pull: PullRequest, labels: Iterable[str]) -> tuple[str, ...]:
    """The pull request's labels after the missing ones were added."""
    have = [label.name for label in pull.labels]
    missing = [label for label in labels if label not in have]
    if missing:
        pull.add_to_labels(*missing)
    return (*have, *missing)


def _standing_verdict(verdict: Verdict, seen: str, head: str) -> Verdict:
    return "dismissed" if verdict == "approved" and seen != head else verdict


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
