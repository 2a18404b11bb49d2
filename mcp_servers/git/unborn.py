"""The facts of a change as they would be, before there is a commit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcp_servers.git import facts as reading
from memory.changes import Intent
from policies.facts import ChangedFile, Facts

#: What stands where there will be a commit or a tree.
UNBORN = "0" * 40


@dataclass(frozen=True)
class Setting:
    """Where a proposal would be opened: on which base, by which login, to which branch, beside how many of the requester's."""

    base: reading.Base
    login: str
    target: str
    open_before: int


def unborn(wanted: Intent, setting: Setting, folder: str, files: Mapping[str, bytes]) -> Facts:
    """The facts of a change that puts these files (path within `folder` to content), but for what they are."""
    base = setting.base
    return Facts(
        number=0,
        state="open",
        branch=wanted.branch,
        target=setting.target,
        author=setting.login,
        requester=wanted.requester,
        on_behalf_of=wanted.on_behalf_of,
        head=UNBORN,
        base=base.commit,
        head_in_repository=UNBORN,
        base_in_repository=base.commit,
        policy_tree=base.policy_tree,
        files=tuple(
            ChangedFile(path=f"{folder}/{name}", mode="100644", size=len(data)) for name, data in sorted(files.items())
        ),
        open_before=setting.open_before,
        read_at=wanted.at,
    )
