"""`access.yaml`: which member of which team may call which tool, with which arguments, how often; what else it may use of a server;
and which networks are ours.

What is not granted is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field, StringConstraints

from policies.facts import LawPart
from policies.patterns import Pattern, matches
from policies.server_use import ServerUse

_NAME = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_WORD = r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*"

#: `team/member`, `team/*` or `*/*`.
Grantee = Annotated[str, StringConstraints(pattern=rf"^(?:{_NAME}/(?:{_NAME}|\*)|\*/\*)$", max_length=100)]
#: `server__tool` or `server__*`. There is no grant of everything.
ToolPattern = Annotated[str, StringConstraints(pattern=rf"^{_WORD}__(?:{_WORD}|\*)$", max_length=100)]
#: What a program is asked for by.
ProgramName = Annotated[str, StringConstraints(pattern=rf"^{_NAME}$", max_length=40)]
#: An argument's name; `spec.name` is the field `name` of the argument `spec`.
ArgumentName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*){0,5}$", max_length=120)
]


#: What a server may send or ask of a member beside the answers to its requests.
Feature = Literal["sampling", "elicitation", "roots", "logging"]


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f"{text[:60]!r} is no network; write one such as 10.20.0.0/16 or fd00:12::/64") from error


#: A range of addresses, `10.20.0.0/16`.
Network = Annotated[str, StringConstraints(max_length=60), AfterValidator(_network)]


class Grant(LawPart):
    """Lets the members named by `to` call `tools`."""

    to: Grantee
    """Who: `team/member`, `team/*` or `*/*`."""
    tools: tuple[ToolPattern, ...] = Field(min_length=1)
    """Which tools: `server__tool` or `server__*`."""
    managers_only: bool = False
    """Only the manager among those members."""
    arguments: dict[ArgumentName, Pattern] = Field(default_factory=dict, max_length=20)
    """What these arguments must be: each must be given, be text, a whole number or a truth value, and match all of its pattern."""

    def covers(self, team: str, member: str, tool: str, manager: bool) -> bool:
        """Whether it speaks of this member and tool, whatever the arguments."""
        if self.managers_only and not manager:
            return False
        return _names(self.to, team, member) and any(_matches(it, tool) for it in self.tools)

    def allows(self, arguments: Mapping[str, Any]) -> bool:
        """Whether the arguments are such as it wants."""
        return all(
            (value := _text_of(arguments, name)) is not None and matches(pattern, value)
            for name, pattern in self.arguments.items()
        )


class CallRate(LawPart):
    """How often each of the members named by `to` may call each of `tools`."""

    to: Grantee
    """Who: `team/member`, `team/*` or `*/*`."""
    tools: tuple[ToolPattern, ...] = Field(min_length=1)
    """Which tools: `server__tool` or `server__*`."""
    calls_per_minute: Annotated[int, Field(ge=0, le=100_000, strict=True)]
    """Calls in any 60 seconds. 0: none."""


class ServerGrant(LawPart):
    """Lets the members named by `to` use, at /mcp/<server>, more of a server than its tools. What is not written is not granted."""

    to: Grantee
    """Who: `team/member`, `team/*` or `*/*`."""
    server: Annotated[str, StringConstraints(pattern=rf"^{_WORD}$", max_length=40)]
    """The server's name, as in the tools' names before `__`."""
    managers_only: bool = False
    """Only the manager among those members."""
    resources: tuple[Pattern, ...] = Field(default=(), max_length=20)
    """Patterns for the whole address of a resource; one that leads upwards (..) fits none."""
    prompts: tuple[Pattern, ...] = Field(default=(), max_length=20)
    """Patterns for the whole name of a prompt."""
    allow: tuple[Feature, ...] = ()
    """What the server may send or ask: a completion of the member's model (sampling), an answer of the member's person
    (elicitation), the member's folders (roots); lines of its log (logging)."""


class Access(LawPart):
    """All grants. Pure: the gateway says who is asking, this says whether they may."""

    grants: tuple[Grant, ...]
    """Who may call which tools. What no line grants is refused, and not listed either."""
    servers: tuple[ServerGrant, ...] = ()
    """What of a server beside its tools."""
    calls_per_minute: Annotated[int, Field(ge=0, le=100_000, strict=True)] | None = None
    """How often one member may call one tool, where no line of `rates` speaks of it. Absent: no limit."""
    rates: tuple[CallRate, ...] = ()
    """The first line that speaks of a member and tool counts."""
    own_networks: tuple[Network, ...] = ()
    """Networks of the company's own that tool servers may live in, though they are not public. Loopback counts as one, if written."""
    named_in_team: bool = False
    """Whether a member may call a tool of the catalogue because its team's `team.yaml` at main names it. Never the kernel's own tools."""
    programs: dict[ProgramName, tuple[Annotated[str, StringConstraints(min_length=1, max_length=300)], ...]] = Field(
        default_factory=dict, max_length=100
    )
    """The programs that tool servers of kind stdio may be: a name and the whole command."""

    def may(self, team: str, member: str, tool: str, *, manager: bool = False) -> bool:
        """Whether `team/member` (its team's manager or not) may call `<server>__<tool>` with some arguments."""
        return any(grant.covers(team, member, tool, manager) for grant in self.grants)

    def may_with(
        self, team: str, member: str, tool: str, arguments: Mapping[str, Any], *, manager: bool = False
    ) -> bool:
        """Whether it may call the tool with exactly these arguments."""
        return any(
            grant.covers(team, member, tool, manager) and (not grant.arguments or grant.allows(arguments))
            for grant in self.grants
        )

    def wanted_arguments(self, team: str, member: str, tool: str, *, manager: bool = False) -> tuple[str, ...]:
        """The names of the arguments on which a grant depends, for the refusal's sentence."""
        covering = [grant for grant in self.grants if grant.covers(team, member, tool, manager)]
        return tuple(sorted({name for grant in covering for name in grant.arguments}))

    def use_of(self, team: str, member: str, server: str, *, manager: bool = False) -> ServerUse:
        """What of the server, beside its tools, is granted: all lines that speak of this member, together."""
        lines = [
            line
            for line in self.servers
            if line.server == server and (manager or not line.managers_only) and _names(line.to, team, member)
        ]
        return ServerUse(
            tools=any(
                (manager or not grant.managers_only)
                and _names(grant.to, team, member)
                and any(tool.startswith(f"{server}__") for tool in grant.tools)
                for grant in self.grants
            ),
            resources=tuple(pattern for line in lines for pattern in line.resources),
            prompts=tuple(pattern for line in lines for pattern in line.prompts),
            features=frozenset(feature for line in lines for feature in line.allow),
        )

    def rate(self, team: str, member: str, tool: str) -> int | None:
        """Calls in any 60 seconds; None: no limit."""
        for line in self.rates:
            if _names(line.to, team, member) and any(_matches(it, tool) for it in line.tools):
                return line.calls_per_minute
        return self.calls_per_minute


def _names(to: str, team: str, member: str) -> bool:
    to_team, to_member = to.split("/")
    return to_team in ("*", team) and to_member in ("*", member)


@lru_cache(maxsize=4096)
def _matches(pattern: str, tool: str) -> bool:
    server, _, name = pattern.partition("__")
    if name == "*":
        return tool.startswith(f"{server}__") and len(tool) > len(server) + 2
    return pattern == tool


def _text_of(arguments: Mapping[str, Any], name: str) -> str | None:
    """The argument as text; None where it is not there, or is a list, a mapping, null or a number with a fraction."""
    value: object = arguments
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = cast("Mapping[str, object]", value).get(part)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None
