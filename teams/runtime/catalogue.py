"""The tools each member may call, as the gateway described them: asked once, asked again when a name is missing."""

from __future__ import annotations

import mcp.types

from teams.runtime.gateway_client import Gateway, GatewayError


class ToolCatalogue:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._known: dict[str, dict[str, mcp.types.Tool]] = {}

    async def granted(self, member: str, names: tuple[str, ...]) -> tuple[mcp.types.Tool, ...]:
        """Those tools, in that order. `GatewayError` names what the gateway does not give this member."""
        if not names:
            return ()
        known = self._known.get(member, {})
        if any(name not in known for name in names):
            known = {tool.name: tool for tool in await self._gateway.list_tools(member)}
            self._known[member] = known
        if missing := [name for name in names if name not in known]:
            raise GatewayError(f"the gateway gives {member} no tool named {', '.join(missing)}")
        return tuple(known[name] for name in names)
