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
from memory import change_state, change_views, ledger, summaries
from memory.change_state import State

DESK_EVERY_S = 1.0
#: An open change that stays as it is is judged again after this, for what a glance does not show (a review by another door).
JUDGE_AGAIN = timedelta(seconds=5)
GITHUB_EVERY_S = 5.0
GITHUB_JUDGE_AGAIN = timedelta(seconds=15)
TELL_EVERY_S = 0.5
TIDY_EVERY_S = 30.0
WATCH_EVERY_S = 15.0
CLUSTER_EVERY_S = 10.0
#: Nothing more happens to a change in one of these states.
_FINAL = {State.VERIFIED, State.ROLLED_BACK, State.CLOSED, State.SUPERSEDED}
#: What the DevOps team knows from its own proposing.
_BEFORE_THE_END = {State.INTENDED, State.PROPOSED, State.JUDGED, State.REFUSED, State.APPROVED}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Round:
    """One loop: what a round does, and the seconds until the next; where `pause` says them, `pause_s` is for a round that failed."""

    what: str
    act: Callable[[], Awaitable[None]]
    pause_s: float
    pause: Callable[[], Awaitable[float]] | None = None
    #: How it pauses.
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


@dataclass
class Loops:
    kernel: Kernel
    _told: dict[int, State] = field(default_factory=dict[int, State])
    _main: str | None = None
    _woken: bool = False

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.kernel.reconciler.run())
            for one in self.rounds():
                group.create_task(_again(one))

    def rounds(self) -> tuple[Round, ...]:
        """Everything that is done again and again, beside the reconciler's own rounds."""
        # On GitHub every look is a request over the network: it is looked less often there, and at once when it says so.
        looking = GITHUB_EVERY_S if self.kernel.mirror else DESK_EVERY_S
        return (
            Round("the merge desk's round", self.judge, looking, sleep=self._until_woken),
            Round("telling the DevOps team", self.tell, TELL_EVERY_S),
            Round("tidying", self.tidy, TIDY_EVERY_S),
            Round("asking the cluster for tool servers", self.kernel.catalogue.follow, CLUSTER_EVERY_S),
            Round(
                "looking after everybody's health", self.kernel.monitor.round, WATCH_EVERY_S, self.kernel.monitor.every
            ),
        )

    async def judge(self) -> None:
        """Judges and merges what may be merged, and renews what main outran; wakes the reconciler when main moved."""
        patience = timedelta(0) if self._woken else GITHUB_JUDGE_AGAIN if self.kernel.mirror else JUDGE_AGAIN
        tick = await anyio.to_thread.run_sync(self.kernel.desk.tick, patience)
        for number, why in tick.failed.items():
            log.warning("change %s could not be judged this time: %s", number, why)
        if tick.merged:
            self.kernel.reconciler.notice()
        await anyio.to_thread.run_sync(self.kernel.rebase.next)
        await anyio.to_thread.run_sync(self._anchor_what_moved_main)

    async def _until_woken(self, seconds: float) -> None:
        self._woken = await self.kernel.waker.sleep(seconds)

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
        """Anchors the ledger's head, settles calls that never came back, sums up days, finishes interrupted proposals."""
        await anyio.to_thread.run_sync(self.anchor)
        await anyio.to_thread.run_sync(self.kernel.gateway.door.sweep)
        await anyio.to_thread.run_sync(self.sum_up)
        await anyio.to_thread.run_sync(self.kernel.proposer.resume)

    def _anchor_what_moved_main(self) -> None:
        """A merge, whoever made it, is in the ledger; that part of it is anchored at once and not at the next round."""
        main = self.kernel.repository.resolve("refs/heads/main")
        moved, self._main = self._main not in (None, main), main
        if moved:
            self.anchor()

    def sum_up(self) -> None:
        """Writes the daily summaries of days that had calls since."""
        with self.kernel.database.begin() as session:
            summaries.catch_up(session, self.kernel.now())

    def anchor(self) -> None:
        with self.kernel.database.read() as session:
            head = ledger.head(session)
        anchor(self.kernel.repository, head, self.kernel.now())


async def _again(one: Round) -> None:
    while True:
        pause = one.pause_s
        try:
            await one.act()
            if one.pause is not None:
                pause = await one.pause()
        except Exception:
            log.exception("%s failed; it is tried again", one.what)
        await one.sleep(pause)
