"""Looking at a tool server: one look at a time, shared by all who ask, and nobody waits long for a server that is slow or ill.

A look goes on when those who asked for it no longer wait: what it finds is what the next one is told at once.
"""

from __future__ import annotations

import asyncio
import logging
import time

from mcp_servers.gateway.admission import compare, hashes
from mcp_servers.gateway.rpc_server import Busy, UpstreamFailed
from mcp_servers.gateway.served import OnQuarantine, Served

#: A server that was seen already is waited for so long at a list of tools; one whose last look took longer, not at all.
QUICK_SECONDS = 1.0

log = logging.getLogger(__name__)


class Looks:
    """`seconds`: how long a server may take to say what it has, and how long its first look is waited for."""

    def __init__(self, seconds: float, on_quarantine: OnQuarantine | None) -> None:
        self.seconds, self._on_quarantine = seconds, on_quarantine

    async def brief(self, one: Served) -> None:
        """Looks again, and waits for what it finds only if the server is new or quick."""
        if one.checked_at == float("-inf"):
            await self.patient(one, self.seconds)
        else:
            await self.patient(one, 0 if _slow(one) else min(QUICK_SECONDS, self.seconds))

    async def thorough(self, one: Served) -> None:
        """Looks again, and waits for what it finds; not for a server that is at work."""
        await self.patient(one, 0 if one.compared is not None and _doing(one) else self.seconds)

    async def patient(self, one: Served, seconds: float) -> None:
        """Looks again, and waits for what it finds until `seconds` after the look began."""
        if one.look is None or one.look.done():
            one.looked_since, one.look = time.monotonic(), asyncio.create_task(self._look(one))
        left = one.looked_since + seconds - time.monotonic()
        if left > 0:
            await asyncio.wait({one.look}, timeout=left)
        if one.compared is None and one.problem is None and not one.look.done():
            one.problem = _doing(one) or f"did not answer in {self.seconds:g} s"

    async def _look(self, one: Served) -> None:
        began = time.monotonic()
        try:
            if one.in_turn is not None:
                tools = await one.in_turn.look(self.seconds)
            else:
                async with asyncio.timeout(self.seconds):
                    tools = await one.server.list_tools()
        except Busy as error:
            # Whoever is at work is not ill: what was last seen of it stands, and grows old.
            if one.compared is None:
                one.problem = str(error)
            return
        except TimeoutError:
            problem = f"did not answer in {self.seconds:g} s"
        except UpstreamFailed as error:
            problem = f"failed: {error}"
        except Exception as error:
            # Whatever is wrong with one server, the others are listed; it is logged when it is new.
            problem = f"failed: {type(error).__name__}"
            if one.problem != problem:
                log.exception("the tool server %s cannot be listed", one.server.name)
        else:
            problem = None
            if one.admitted is None:
                one.admitted = hashes(tools) if one.terms.definitions is None else one.terms.definitions
            one.compared = compare(tools, one.admitted)
        one.problem, one.checked_at = problem, time.monotonic()
        one.ms = int((one.checked_at - began) * 1000)
        if problem is None:
            await self._tell(one)

    async def _tell(self, one: Served) -> None:
        if self._on_quarantine is None or one.compared is None:
            return
        for found in one.compared.quarantined.values():
            key = (found.tool, found.seen_sha256)
            if key in one.told:
                continue
            try:
                await self._on_quarantine(one.server.name, found)
            except Exception:
                # It is in quarantine all the same; the next look tells it again.
                log.exception("that %s__%s is in quarantine could not be told", one.server.name, found.tool)
                return
            one.told.add(key)


def _slow(one: Served) -> bool:
    """Whether its answer would have to be waited for."""
    return one.ms > QUICK_SECONDS * 1000 or _doing(one) is not None


def _doing(one: Served) -> str | None:
    return one.in_turn.doing if one.in_turn is not None else None
