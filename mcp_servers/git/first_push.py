"""The first push of a company's repository to an empty one on GitHub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from git.exc import GitCommandError

from mcp_servers.git.command import run_git
from mcp_servers.git.github import Account
from mcp_servers.git.mirror import FETCH_SECONDS, Mirror
from mcp_servers.git.objects import ANY, Signature
from mcp_servers.git.proposals import Remote, failure, signed_in
from mcp_servers.git.repository import Repository

_FIRST = "refs/elf/first"
_WHO = Signature("elf-seed", "elf-seed@company.invalid")


@dataclass(frozen=True)
class FirstPush:
    """What main begins with: the repository `begun` if there is one, else `files`; then one commit that puts `naming` in place."""

    begun: Path | None
    files: Mapping[str, bytes]
    modes: Mapping[str, str]
    naming: Mapping[str, bytes]


def push_first(mirror: Mirror, account: Account, first: FirstPush, now: datetime) -> str:
    """Main's commit there. Only an empty repository is pushed to: a main that appeared meanwhile is not overwritten."""
    repository = mirror.repository
    if first.begun is not None:
        # The ledger's anchors come along: they are held against the ledger here.
        run_git(
            mirror.path, ["fetch", "--quiet", str(first.begun), f"+refs/heads/main:{_FIRST}", "+refs/elf/*:refs/elf/*"]
        )
    else:
        tree = repository.write_tree(None, first.files, first.modes)
        repository.update_ref(
            _FIRST, repository.commit_tree(tree, [], "Seed the company\n", _WHO, now), _tip(repository)
        )
    begun = repository.resolve(_FIRST)
    tree = repository.write_tree(begun, first.naming)
    commit = repository.commit_tree(tree, [begun], "Name people and agents as GitHub knows them\n", _WHO, now)
    remote = Remote(account.git_url, account.current_token(), account.signature)
    git = signed_in(remote, mirror.path)
    lease = "--force-with-lease=refs/heads/main:"
    try:
        git.push("--quiet", lease, remote.url, f"{commit}:refs/heads/main", kill_after_timeout=FETCH_SECONDS)
    except GitCommandError as error:
        raise failure(error, "push main") from error
    repository.update_ref(_FIRST, None, ANY)
    mirror.fetch()
    return commit


def _tip(repository: Repository) -> str | None:
    return repository.refs(_FIRST).get(_FIRST)
