"""May this caller do that: tools by `policies/access.yaml`, models by what was deployed, messages by who leads a team."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.refusals import Refused
from policies.server_use import EVERYTHING, ServerUse

DEFAULT_MODEL = "default"


class Access(Protocol):
    """The part of the law that grants tools (see `policies.access.Access`)."""

    def may(self, team: str, member: str, tool: str, *, manager: bool = False) -> bool: ...
    def may_with(
        self, team: str, member: str, tool: str, arguments: Mapping[str, Any], *, manager: bool = False
    ) -> bool: ...
    def wanted_arguments(self, team: str, member: str, tool: str, *, manager: bool = False) -> tuple[str, ...]: ...
    def use_of(self, team: str, member: str, server: str, *, manager: bool = False) -> ServerUse: ...
    def rate(self, team: str, member: str, tool: str) -> int | None: ...
    @property
    def named_in_team(self) -> bool: ...


def _none(_team: str, _member: str) -> Collection[str]:
    return ()


@dataclass(frozen=True)
class Grants:
    """`access` gives the law as it stands now; `models_of(team, member)` the models named by that member's deployed spec.

    `named_tools(team, member)` are the tools of the catalogue that the member's spec at main names.
    """

    access: Callable[[], Access]
    models_of: Callable[[str, str], Collection[str]]
    named_tools: Callable[[str, str], Collection[str]] = _none

    def may_call(self, caller: Caller, tool: str) -> bool:
        """A person and the kernel itself may call every tool; a member what is granted."""
        if caller.kind != "member":
            return True
        access = self.access()
        return access.may(caller.team, caller.member, tool, manager=caller.manager) or self._named(access, caller, tool)

    def _named(self, access: Access, caller: Caller, tool: str) -> bool:
        return access.named_in_team and tool in self.named_tools(caller.team, caller.member)

    def use_of(self, caller: Caller, server: str) -> ServerUse:
        """What the caller may use of a server beside calling its tools: a person and the kernel everything."""
        if caller.kind != "member":
            return EVERYTHING
        access = self.access()
        use = access.use_of(caller.team, caller.member, server, manager=caller.manager)
        if use.tools or not access.named_in_team:
            return use
        named = self.named_tools(caller.team, caller.member)
        return replace(use, tools=any(tool.startswith(f"{server}__") for tool in named))

    def models(self, caller: Caller) -> Collection[str]:
        """The names a member may use."""
        return {DEFAULT_MODEL, *self.models_of(caller.team, caller.member)}

    def rate(self, caller: Caller, tool: str) -> int | None:
        """Calls that a member may make of the tool in a minute; None: no limit."""
        return self.access().rate(caller.team, caller.member, tool)

    def check_tool(self, caller: Caller, tool: str, arguments: Mapping[str, Any]) -> int | None:
        """Raises `Refused` unless some grant covers this very call. Decided on the parsed arguments that are then sent.

        Gives what `rate` does, of the same law.
        """
        if caller.kind != "member":
            return None
        access, who = self.access(), (caller.team, caller.member, tool)
        if access.may_with(*who, arguments, manager=caller.manager):
            return access.rate(*who)
        if access.may(*who, manager=caller.manager):
            names = ", ".join(access.wanted_arguments(*who, manager=caller.manager))
            raise Refused(
                "not_allowed",
                f"{caller.address} may call {tool[:80]} only with certain arguments: policies/access.yaml has patterns for "
                f"{names}. Give values that fit, or have a person widen the grant by a pull request.",
            )
        if self._named(access, caller, tool):
            return access.rate(*who)
        raise Refused(
            "not_allowed",
            f"{caller.address} may not call {tool[:80]}: no grant in policies/access.yaml covers it. "
            "A tool of the catalogue may also be named in the member's team.yaml; both go by a pull request.",
        )

    def check_model(self, caller: Caller, model: str) -> None:
        if caller.kind == "member" and model not in self.models(caller):
            raise Refused(
                "not_allowed",
                f"{caller.address} may not use the model {model[:80]!r}: a member uses '{DEFAULT_MODEL}' or the model its "
                "deployed team.yaml names.",
            )

    def check_message(self, caller: Caller, receiver: str) -> None:
        if not caller.manager:
            raise Refused(
                "not_allowed",
                f"{caller.address} may not send to {receiver[:40]}: only a team's manager sends to other teams. "
                "Ask your manager.",
            )
        if caller.kind == "member" and caller.team == receiver:
            raise Refused(
                "not_allowed", f"{caller.address} may not send to its own team; inside a team, members talk directly."
            )
