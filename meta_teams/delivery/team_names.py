"""Names of new teams: free, and none that means something to the company."""

from __future__ import annotations

from collections.abc import Collection

_LONGEST = 40
#: Folders, identities and teams of the company itself. A team so named would be mistaken for one of them.
PROTECTED = frozenset(
    [
        "executive",
        "devops",
        "ceo",
        "cto",
        "cmo",
        "coo",
        "cfo",
        "meta-teams",
        "policies",
        "memory",
        "bootstrap",
        "mcp-servers",
        "gitops",
        "docs",
        "kernel",
        "owner",
        "person",
        "elf-devops",
        "elf-gate",
        "merge-desk",
        "reconciler",
        "gate",
        "forge",
        "office",
    ]
)


def unique(name: str, taken: Collection[str]) -> str:
    """The name, or the name with the first number from 2 on that is free."""
    if name not in taken:
        return name
    for number in range(2, len(taken) + 3):
        ending = f"-{number}"
        candidate = f"{name[: _LONGEST - len(ending)].rstrip('-')}{ending}"
        if candidate not in taken:
            return candidate
    raise AssertionError("more numbers than names were tried")
