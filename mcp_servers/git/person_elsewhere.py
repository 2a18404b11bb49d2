"""A person who decides on GitHub, signed in there as themselves: their key is none of this company's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcp_servers.git.changes import NotAllowed


@dataclass(frozen=True)
class PersonElsewhere:
    """`page` is a change's address there."""

    login: str
    page: Callable[[int], str]

    def approve(self, number: int, head: str, body: str = "") -> None:
        words = f" with these words: {body}" if body else ""
        raise NotAllowed(
            f"approve change {number} on GitHub as {self.login}{words}: {self.page(number)} (commit {head[:12]}). "
            "The merge desk merges it by itself then"
        )

    def reject(self, number: int, why: str) -> None:
        raise NotAllowed(f"close change {number} on GitHub as {self.login}, and say there: {why} ({self.page(number)})")
