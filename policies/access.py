"""`access.yaml`: which member of which team may call which tool. What is not granted is refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from policies.facts import Frozen

_NAME = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_WORD = r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*"

#: `team/member`, `team/*` or `*/*`.
Grantee = Annotated[str, StringConstraints(pattern=rf"^(?:{_NAME}/(?:{_NAME}|\*)|\*/\*)$", max_length=100)]
#: `server__tool` or `server__*`. There is no grant of everything.
ToolPattern = Annotated[str, StringConstraints(pattern=rf"^{_WORD}__(?:{_WORD}|\*)$", max_length=100)]


class Grant(Frozen):
    """Lets the members named by `to` call `tools`."""

    to: Grantee
    tools: tuple[ToolPattern, ...] = Field(min_length=1)
    #: Only the manager among those members.
    managers_only: bool = False

    def covers(self, team: str, member: str, tool: str, manager: bool) -> bool:
        if self.managers_only and not manager:
            return False
        to_team, to_member = self.to.split("/")
        return to_team in ("*", team) and to_member in ("*", member) and any(_matches(it, tool) for it in self.tools)


class Access(Frozen):
    """All grants. Pure: the gateway says who is asking, this says whether they may."""

    grants: tuple[Grant, ...]

    def may(self, team: str, member: str, tool: str, *, manager: bool = False) -> bool:
        """Whether `team/member` (its team's manager or not) may call `<server>__<tool>`."""
        return any(grant.covers(team, member, tool, manager) for grant in self.grants)


def _matches(pattern: str, tool: str) -> bool:
    server, _, name = pattern.partition("__")
    if name == "*":
        return tool.startswith(f"{server}__") and len(tool) > len(server) + 2
    return pattern == tool
