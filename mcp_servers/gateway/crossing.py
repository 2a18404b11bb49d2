"""A request on its way along its chain: one try at a time, each paid for by itself, all inside one deadline.

This is the only place where anything is tried again. A client that is refused is told not to retry, and no provider's client does.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

import anyio
from pydantic_core import to_json

from mcp_servers.gateway.chat import Piece, ProviderFailed
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.prices import Link, Tokens
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.till import ChainRefused, Meter, ModelAsk, Till, Try
from memory.writer import Writer

T = TypeVar("T")

#: With less time left than this, no further link is tried. Seconds.
LEAST = 0.05


class Crossing:
    """One request that was let through; `tried` is the try under way."""

    def __init__(self, writer: Writer, till: Till, caller: Caller, ask: ModelAsk, first: Try) -> None:
        self.caller, self.ask, self.tried = caller, ask, first
        self._writer, self._till = writer, till
        self._ends = anyio.current_time() + ask.deadline.total_seconds()

    async def whole(self, make: Callable[[Link], Awaitable[T]], weigh: Callable[[T], tuple[Tokens | None, str]]) -> T:
        """What the first link that answers gives. `weigh` says its tokens and its hash. Raises `Refused`."""
        while True:
            try:
                with anyio.fail_after(self._seconds()):
                    answer = await make(self.tried.link)
            except (ProviderFailed, TimeoutError) as error:
                await self._next_link(error)
                continue
            except BaseException:
                await self._gave_up()
                raise
            await self._answered(*weigh(answer))
            return answer

    async def pieces(self, make: Callable[[Link], AsyncIterator[Piece]]) -> AsyncGenerator[Piece]:
        """A stream, metered. It moves on only while nothing of it has been given out. Raises `Refused`, also in the middle."""
        stream, first = await self._first_piece(make)
        said, tokens, piece = hashlib.sha256(), None, first
        try:
            while piece is not None:
                tokens = piece.tokens or tokens
                said.update(to_json(piece.delta))
                yield piece
                with anyio.fail_after(max(0.0, self._ends - anyio.current_time())):
                    piece = await anext(stream, None)
        except (ProviderFailed, TimeoutError) as error:
            failed = _failure(error)
            await self._end(Meter(outcome=failed.kind, free=failed.free))
            raise _refused(failed, "", ((self.tried.link.name, failed.kind),)) from error
        except BaseException:
            await self._gave_up()
            raise
        finally:
            await _close(stream)
        await self._answered(tokens, said.hexdigest())

    async def _first_piece(
        self, make: Callable[[Link], AsyncIterator[Piece]]
    ) -> tuple[AsyncIterator[Piece], Piece | None]:
        while True:
            stream: AsyncIterator[Piece] | None = None
            try:
                stream = make(self.tried.link)
                with anyio.fail_after(self._seconds()):
                    return stream, await anext(stream, None)
            except (ProviderFailed, TimeoutError) as error:
                await _close(stream)
                await self._next_link(error)
            except BaseException:
                await _close(stream)
                await self._gave_up()
                raise

    def _seconds(self) -> float:
        """For this try: half of what is left if there is a next link, else all of it."""
        left = max(0.0, self._ends - anyio.current_time())
        return left / 2 if self.tried.rest else left

    async def _next_link(self, error: ProviderFailed | TimeoutError) -> None:
        failed = _failure(error)
        meter = Meter(outcome=failed.kind, free=failed.free)
        moves = (*self.tried.moves, (self.tried.link.name, failed.kind))
        if failed.kind == "not_accepted":
            await self._end(meter)
            raise _refused(failed, "", moves) from error
        time_left = self._ends - anyio.current_time() > LEAST
        found = await self._writer.write(
            lambda rows: self._till.move_on(rows, self.caller, self.ask, self.tried, meter, time_left=time_left)
        )
        if isinstance(found, Try):
            self.tried = found
            return
        # What the provider said is the cause; that the next link may not be used, its circumstance.
        raise _refused(failed, f" Then: {found.message}" if found else "", moves) from error

    async def _answered(self, tokens: Tokens | None, answer_sha256: str) -> None:
        meter = Meter()
        meter.used(tokens, answer_sha256)
        await self._end(meter)

    async def _gave_up(self) -> None:
        """The caller went away, or we are at fault: what the call cost is unknown, so its upper bound counts."""
        await self._end(Meter(outcome="gone"))

    async def _end(self, meter: Meter) -> None:
        await self._writer.write(lambda rows: self._till.end(rows, self.caller, self.ask, self.tried, meter))


async def _close(stream: AsyncIterator[Piece] | None) -> None:
    """Ends the provider's stream now, and with it its connection, rather than when memory is tidied."""
    if isinstance(stream, AsyncGenerator):
        with anyio.CancelScope(shield=True):
            await stream.aclose()


def _failure(error: ProviderFailed | TimeoutError) -> ProviderFailed:
    if isinstance(error, ProviderFailed):
        return error
    return ProviderFailed("The model did not answer in time; ask again later, or for less.", "timeout", free=False)


def _refused(failed: ProviderFailed, more: str, moves: tuple[tuple[str, str], ...] = ()) -> ChainRefused:
    if len(moves) > 1:
        more = f"{more} Nobody else is left: {', '.join(f'{link} ({why})' for link, why in moves[:-1])} failed before."
    code = "timeout" if failed.kind == "timeout" else "upstream_failed"
    return ChainRefused(Refused(code, failed.message + more), moves)
