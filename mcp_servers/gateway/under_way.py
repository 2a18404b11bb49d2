"""What each team is at work on, as the gateway knows it: the pieces of business whose messages it brought and that are not answered.

A team says for which run it spends, but it cannot choose: what it names counts only if it is one of these. So everything that one
message led to is paid from one budget, whatever ids the teams on its way think of.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class UnderWay:
    """Kept in memory: messages that were under way when the kernel stopped are lost, and so are the teams at work on them."""

    _open: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    def began(self, team: str, message: str, correlation_id: str) -> None:
        self._open.setdefault(team, {})[message] = correlation_id

    def ended(self, team: str, message: str) -> None:
        self._open.get(team, {}).pop(message, None)

    def business_of(self, team: str, claimed: str) -> str:
        """What the team works for: what it claims if that is so, else the oldest that is open; with none open, its claim."""
        known = list(self._open.get(team, {}).values())
        return claimed if claimed in known or not known else known[0]
