"""What the kernel does by itself, again and again: judge and merge, deploy and heal, tell, anchor, tidy.

Each loop survives its own failures: they are logged, and the next round tries again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import anyio.to_thread

from bootstrap.wiring import Kernel
from mcp_servers.git.anchors import anchor
from memory import change_state, change_views, ledger
from memory.change_state import State

DESK_EVERY_S = 1.0
#: An open change that stays as it is is judged again after this, for what a glance does not show (a review by another door).
JUDGE_AGAIN = timedelta(seconds=5)
TELL_EVERY_S = 0.5
TIDY_EVERY_S = 30.0
#: Nothing more happens to a change in one of these states.
_FINAL = {State.VERIFIED, State.ROLLED_BACK, State.CLOSED}
#: What the DevOps team knows from its own proposing.
_BEFORE_THE_END = {State.INTENDED, State.PROPOSED, State.JUDGED, State.APPROVED}

log = logging.getLogger(__name__)


@dataclass
class Loops:
    kernel: Kernel
    _told: dict[int, State] = field(default_factory=dict[int, State])

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.kernel.reconciler.run())
            group.create_task(_again(self.judge, DESK_EVERY_S, "the merge desk's round"))
            group.create_task(_again(self.tell, TELL_EVERY_S, "telling the DevOps team"))
            group.create_task(_again(self.tidy, TIDY_EVERY_S, "tidying"))

    async def judge(self) -> None:
        """Judges and merges what may be merged; wakes the reconciler when main moved."""
        tick = await anyio.to_thread.run_sync(self.kernel.desk.tick, JUDGE_AGAIN)
        for number, why in tick.failed.items():
            log.warning("change %s could not be judged this time: %s", number, why)
        if tick.merged:
            self.kernel.reconciler.notice()

    async def tell(self) -> None:
        """Tells the DevOps team of each change that moved on since it was last told. Telling twice does no harm."""
        states = await anyio.to_thread.run_sync(self._states)
        first = not self._told
        for number, state in states.items():
            known = self._told.get(number)
            self._told[number] = state
            moved = known is not state and state not in _BEFORE_THE_END
            if moved and not (first and state in _FINAL):
                await self.kernel.tell_of_change(number)

    def _states(self) -> dict[int, State]:
        with self.kernel.database.read() as session:
            return {
                number: change_state.state_of(change_state.progress(session, number))
                for number in change_views.recent_numbers(session, 50)
            }

    async def tidy(self) -> None:
        """Anchors the ledger's head, settles calls that never came back, finishes interrupted proposals."""
        await anyio.to_thread.run_sync(self.anchor)
        await anyio.to_thread.run_sync(self.kernel.gateway.door.sweep)
        await anyio.to_thread.run_sync(self.kernel.proposer.resume)

    def anchor(self) -> None:
        with self.kernel.database.read() as session:
            head = ledger.head(session)
        anchor(self.kernel.repository, head, self.kernel.now())


async def _again(act: Callable[[], Awaitable[None]], every: float, what: str) -> None:
    while True:
        try:
            await act()
        except Exception:
            log.exception("%s failed; it is tried again", what)
        await asyncio.sleep(every)
