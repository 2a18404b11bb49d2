"""Which refs may move, and by whom: the rules, and the hook by which Git itself keeps them on every push.

Beside them it keeps the repository's rulesets, which can only close more (`rulesets.py`).

The hook is run by `git receive-pack` on exactly the refs it is about to move, whatever way the push came in. Git skips a
hook that it cannot execute, without an error; so the hook is checked before each push, and without it no push is served.
Who made a branch is read from the branch's own reflog, which Git writes in the same step as the branch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mcp_servers.git.forge.identity import Identity
from mcp_servers.git.forge.rulesets import Action
from mcp_servers.git.repository import Repository

AUTO_BRANCH = re.compile(r"refs/heads/auto/[A-Za-z0-9._/-]+")
HOOKS_FOLDER = ".hooks"

PRE_RECEIVE = r"""#!/bin/sh
# Confines pushes to auto/ branches of the pusher's own. Written by the forge; edits are undone and stop all pushes.
refuse() {
    echo "Refused: $1" >&2
    exit 1
}
[ -n "$ELF_LOGIN" ] || refuse "nobody is signed in."
[ "$ELF_MAY_PUSH" = yes ] || refuse "$ELF_LOGIN may not push."
# Whether one of the rulesets in $1 closes $ref: each is a line with what it includes and a line with what it excludes.
closed() {
    [ -n "$1" ] || return 1
    printf '%s\n' "$1" | {
        while IFS= read -r include && IFS= read -r exclude; do
            printf '%s\n' "$ref" | grep -Eqx -e "$include" || continue
            [ -n "$exclude" ] && printf '%s\n' "$ref" | grep -Eqx -e "$exclude" && continue
            exit 0
        done
        exit 1
    }
}
rule() { refuse "Repository rule violations found for $ref. $1"; }
while read -r old new ref; do
    case "$ref" in
    refs/heads/auto/*[!A-Za-z0-9._/-]*) refuse "the branch name may hold letters, digits and . _ - / only." ;;
    refs/heads/auto/?*) ;;
    refs/heads/main) refuse "nobody pushes to main. Push a branch auto/<kind>/<name>, open a pull request; the gate merges." ;;
    *) refuse "$ref is not yours to move. Only branches below auto/ may be pushed; open a pull request from one." ;;
    esac
    case "$new" in *[!0]*) ;; *) refuse "branches are not deleted by a push. Close the pull request instead." ;; esac
    case "$old" in
    *[!0]*) ;;
    *)
        ! closed "${ELF_CLOSED_CREATION:-}" || rule "Cannot create ref due to creations being restricted."
        continue
        ;;
    esac
    creator=$(git reflog show --format=%gn "$ref" -- | tail -n 1)
    [ "$creator" = "$ELF_LOGIN" ] || refuse "$ref belongs to ${creator:-somebody else}. Push a branch of your own."
    ! closed "${ELF_CLOSED_UPDATE:-}" || rule "Cannot update this protected ref."
    if closed "${ELF_CLOSED_NON_FAST_FORWARD:-}"; then
        git merge-base --is-ancestor "$old" "$new" </dev/null || rule "Cannot force-push to this branch."
    fi
done
exit 0
"""


class ProtectionMissing(Exception):
    """The push protection cannot run, so nothing may be pushed."""


def hooks_path(root: Path) -> Path:
    return root / HOOKS_FOLDER


def install_hook(root: Path) -> None:
    """Write the hook, or repair it. Raises `ProtectionMissing` where it cannot be executed."""
    folder = hooks_path(root)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"pre-receive.{os.getpid()}"
    fresh.write_text(PRE_RECEIVE)
    fresh.chmod(0o755)
    fresh.replace(folder / "pre-receive")
    check_hook(root)


def check_hook(root: Path) -> None:
    """Raise `ProtectionMissing` unless Git would run our hook, whole and unchanged."""
    hook = hooks_path(root) / "pre-receive"
    if not os.access(hook, os.X_OK) or hook.read_text(errors="replace") != PRE_RECEIVE:
        raise ProtectionMissing(
            f"the push protection in {HOOKS_FOLDER}/pre-receive is missing, changed or not executable; nothing can be"
            " pushed until the forge is started again, on a file system that allows programs to run"
        )


def closures(closed: Mapping[Action, str]) -> dict[str, str]:
    """What the hook is told of the rulesets, as the variables of its environment."""
    return {f"ELF_CLOSED_{action.upper()}": lines for action, lines in closed.items()}


def creator_of(repository: Repository, branch_ref: str) -> str | None:
    """The login that made the branch, from its reflog; None if it has none."""
    log = repository.reflog_names(branch_ref)
    return log[-1] if log else None


def may_move(repository: Repository, identity: Identity, ref: str) -> bool:
    """Whoever made an `auto/` branch may move it."""
    return bool(AUTO_BRANCH.fullmatch(ref)) and creator_of(repository, ref) == identity.login


def may_delete(repository: Repository, identity: Identity, ref: str) -> bool:
    """Whoever made an `auto/` branch may delete it, and the merge desk once it is done with it."""
    if not AUTO_BRANCH.fullmatch(ref):
        return False
    return "merge" in identity.may or creator_of(repository, ref) == identity.login
