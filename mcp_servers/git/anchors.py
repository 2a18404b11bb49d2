"""Anchors: heads of the audit ledger kept in the company's Git, where a rewritten or shortened ledger cannot follow.

They are commits on a ref of their own, each on top of the one before. The ledger's rows stay in the database; an anchor holds one
sequence number and one hash.
"""

from __future__ import annotations

import re
from datetime import datetime

from mcp_servers.git.objects import EMPTY_TREE, RefMoved, Signature, UnknownRevision
from mcp_servers.git.repository import Repository
from memory.ledger import Head

ANCHORS = "refs/elf/anchors"
_WHO = Signature("elf-gate", "elf-gate@company.invalid")
_MESSAGE = re.compile(r"audit (\d+) ([0-9a-f]{64})")
#: How many anchors are read back; older ones are implied by the chain.
_READ_BACK = 500


def anchors(repository: Repository) -> tuple[Head, ...]:
    """The anchored heads, latest first."""
    try:
        tip = repository.resolve(ANCHORS)
    except UnknownRevision:
        return ()
    found = [_MESSAGE.match(commit.message) for commit in repository.log(tip, limit=_READ_BACK)]
    return tuple(Head(int(match[1]), match[2]) for match in found if match)


def anchor(repository: Repository, head: Head, now: datetime) -> bool:
    """Anchors this head; False if it is anchored already, the ledger is empty, or another process anchored meanwhile."""
    last = anchors(repository)[:1]
    if head.seq == 0 or (last and last[0].seq >= head.seq):
        return False
    try:
        tip = repository.resolve(ANCHORS)
    except UnknownRevision:
        tip = None
    commit = repository.commit_tree(EMPTY_TREE, [tip] if tip else [], f"audit {head.seq} {head.hash}\n", _WHO, now)
    try:
        repository.update_ref(ANCHORS, commit, tip)
    except RefMoved:
        return False
    return True
