"""A proposal's commit: made on top of the base branch in a throw-away repository, and pushed over Git's smart HTTP.

The token travels in the environment of the git processes alone: not in an address, a file, an argument or a log.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from git import Git
from git.exc import GitCommandError

from mcp_servers.git.changes import HandsOff, NotAllowed, Proposal, Refused, Unavailable
from mcp_servers.git.command import SETTINGS, environment
from mcp_servers.git.objects import Signature, UnsafePath, checked_mode, checked_path
from mcp_servers.git.repository import Repository

TIMEOUT_SECONDS = 60.0
BASE, MINE = "refs/heads/base", "refs/heads/mine"


class BranchMoved(Unavailable):
    """The branch changed while the proposal was being made; the next attempt adopts or replaces what is there."""


@dataclass(frozen=True)
class Remote:
    """Where to push, as whom. `url` carries no credentials."""

    url: str
    token: str
    identity: Signature

    def __repr__(self) -> str:
        return f"Remote({self.url!r}, {self.identity.name!r})"


def push_proposal(remote: Remote, proposal: Proposal, tip: str | None, when: datetime) -> str:
    """Bring the proposal's branch to one commit of all its files; the commit's hash.

    `tip` is where the branch is now, None if it is not there. The same files already there are adopted without a push.
    `HandsOff` for anybody else's commit on the branch, `BranchMoved` if it is not at `tip`, `Refused`, `NotAllowed`.
    """
    _check(proposal)
    with tempfile.TemporaryDirectory(prefix="elf-proposal-") as scratch:
        folder = Path(scratch)
        git = signed_in(remote, folder)
        git.init("--quiet", "--bare", "--template=")
        _fetch(git, remote, proposal, tip)
        repository = Repository(folder)
        if tip is not None and _holds(repository, remote.identity, proposal, tip):
            return tip
        tree = repository.write_tree(BASE, proposal.files, proposal.modes)
        if tree == repository.tree(BASE):
            raise Refused(f"{proposal.branch} would change nothing: every file is on {proposal.base} already")
        parent = repository.resolve(BASE)
        commit = repository.commit_tree(tree, [parent], proposal.message, remote.identity, when)
        _push(git, remote, proposal.branch, commit, tip)
        return commit


def _check(proposal: Proposal) -> None:
    """Refuse odd paths and modes before anything is fetched."""
    try:
        for path in proposal.files:
            checked_mode(proposal.modes.get(path, "100644"), checked_path(path))
    except UnsafePath as error:
        raise Refused(str(error)) from error


def signed_in(remote: Remote, folder: Path) -> Git:
    """GitPython's command object on the bare repository `folder`, with the credential in its environment."""
    git = Git(folder)
    git.update_environment(**_environment(remote, folder))
    return git


def _environment(remote: Remote, folder: Path) -> dict[str, str]:
    credential = base64.b64encode(f"x-access-token:{remote.token}".encode()).decode()
    settings = [
        *(tuple(setting.split("=", 1)) for setting in SETTINGS),
        ("credential.helper", ""),
        ("core.fsync", "none"),
        ("maintenance.auto", "false"),
        ("http.followRedirects", "false"),
        (f"http.{remote.url}.extraHeader", f"Authorization: Basic {credential}"),
    ]
    if urlsplit(remote.url).hostname in {"127.0.0.1", "::1", "localhost"}:
        settings.append(("http.proxy", ""))
    numbered = {"GIT_CONFIG_COUNT": str(len(settings))}
    for index, (key, value) in enumerate(settings):
        numbered |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return environment(
        {"GIT_DIR": str(folder), "GIT_ALLOW_PROTOCOL": "http:https", "GIT_TRACE_REDACT": "1", **numbered}
    )


def _fetch(git: Git, remote: Remote, proposal: Proposal, tip: str | None) -> None:
    """The base's newest commit alone; with a branch to look at, the histories of both."""
    wanted = [f"+refs/heads/{proposal.base}:{BASE}"]
    depth = ["--depth=1"]
    if tip is not None:
        wanted.append(f"+refs/heads/{proposal.branch}:{MINE}")
        depth = []
    try:
        git.fetch("--quiet", "--no-tags", *depth, remote.url, *wanted, kill_after_timeout=TIMEOUT_SECONDS)
    except GitCommandError as error:
        raise failure(error, "fetch") from error


def _holds(repository: Repository, identity: Signature, proposal: Proposal, tip: str) -> bool:
    """Whether the branch already holds this proposal. `HandsOff` unless all that it adds to its base is by `identity`."""
    if repository.resolve(MINE) != tip:
        raise BranchMoved(f"{proposal.branch} moved meanwhile; try again")
    added = repository.log(MINE, without=BASE)
    strangers = {commit.author.name for commit in added if identity not in (commit.author, commit.committer)}
    strangers |= {commit.committer.name for commit in added if commit.committer != identity}
    if strangers:
        who = ", ".join(sorted(strangers))
        raise HandsOff(
            f"{proposal.branch} has a commit by {who}; it was left as it is. Ask them, or use another branch"
        )
    if len(added) != 1 or (proposal.rebase and added[0].parents[0] != repository.resolve(BASE)):
        return False
    return added[0].tree == repository.write_tree(added[0].parents[0], proposal.files, proposal.modes)


def _push(git: Git, remote: Remote, branch: str, commit: str, tip: str | None) -> None:
    """Move the branch from `tip` to the commit, by compare-and-swap."""
    ref = f"refs/heads/{branch}"
    lease = f"--force-with-lease={ref}:{tip or ''}"
    try:
        git.push("--quiet", "--no-verify", lease, remote.url, f"{commit}:{ref}", kill_after_timeout=TIMEOUT_SECONDS)
    except GitCommandError as error:
        raise failure(error, f"push {branch}") from error


def failure(error: GitCommandError, what: str) -> Exception:
    """The port's error for what git said when it spoke to the place."""
    said = str(error.stderr)
    sentence = _sentence(said.splitlines()) or said.strip()[:300]
    if any(sign in said for sign in ("stale info", "fetch first", "reference already exists", "cannot lock ref")):
        return BranchMoved(f"git {what}: the branch moved meanwhile; try again")
    if any(
        sign in said for sign in ("Refused:", "remote rejected", "error: 401", "error: 403", "Authentication failed")
    ):
        return NotAllowed(f"git {what}: {sentence}")
    if "couldn't find remote ref" in said:
        return BranchMoved(f"git {what}: {sentence}")
    return Unavailable(f"git {what}: {sentence}; try again later")


def _sentence(lines: Sequence[str]) -> str | None:
    """The server's own sentence, if it gave one."""
    return next((line.strip().removeprefix("remote: ") for line in lines if "Refused:" in line), None)
