"""Is this team fit to work? Checked before it says so, with definite answers only from the gateway itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from teams.runtime.gateway_client import GatewayError, GatewayUnreachable
from teams.runtime.work import Resources

RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Health:
    status: Literal["starting", "ok", "failing"]
    reason: str | None = None


async def check_access(resources: Resources) -> Health:
    """Whether each member gets its model and each of its tools. Waits for a gateway that does not answer, for ever."""
    while True:
        try:
            reasons = await asyncio.gather(*(_lacking(resources, member.name) for member in resources.spec.members))
        except GatewayUnreachable:
            await asyncio.sleep(RETRY_SECONDS)
            continue
        lacking = [reason for reason in reasons if reason]
        return Health("failing", "; ".join(lacking)) if lacking else Health("ok")


async def _lacking(resources: Resources, name: str) -> str | None:
    spec = resources.spec
    member = next(member for member in spec.members if member.name == name)
    try:
        await resources.gateway.check_model(name, spec.model_of(member))
        await resources.catalogue.granted(name, member.tools)
    except GatewayUnreachable:
        raise
    except GatewayError as error:
        return f"{name}: {error}"
    return None
