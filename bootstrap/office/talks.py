"""What people's own clients say to the CEO: carried to its end whoever listens, and never done twice because a client tried again.

A client that lost the answer sends the same words again, and nothing in them says so. So the same words in the same conversation are
one piece of business: while it is under way, whoever comes listens to it; where it failed or was lost, it goes on under its own id, by
which the DevOps team and the proposer know what they did; where it led to something in the last quarter of an hour, its answer
is given again. What only answered is asked anew: that does no harm, and the answer may be another by now.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from anyio import to_thread

from mcp_servers.gateway.refusals import Refused
from mcp_servers.git.changes import ChangesError
from memory import messages
from memory.messages import Carried
from memory.session import Database, Unwritable
from teams.messages import PersonMessage
from teams.runtime.gateway_client import GatewayError

#: How long an answer that led to something is given again to the same words.
REPEATED_FOR = timedelta(minutes=15)
#: What may be under way at once, and how many answers are kept.
MOST_OPEN, MOST_KEPT = 16, 200
#: The states in which the CEO has answered; any other is worth another try under the same id.
_ANSWERED = frozenset({"completed", "input_required", "rejected"})

Said = dict[str, Any]
Tell = Callable[[PersonMessage, str], Awaitable[Said]]
#: Told how a message passes (`allowed`, `joined`, `repeated`) and its id.
Note = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True)
class Words:
    """`conversation` begins the ids of all that is said in it (`mcp.3f….c1.`); `key` tells these words from others there."""

    conversation: str
    key: str
    message: PersonMessage


@dataclass(frozen=True)
class Earlier:
    """The last time that these words were said. `led_on`: it led to messages between teams."""

    correlation_id: str
    answered_at: datetime | None
    state: str | None
    led_on: bool


@dataclass
class Talk:
    """`said` is what came of it (see `Office.tell`), or raises; `repeated` is when it was first said, if that was earlier."""

    correlation_id: str
    said: asyncio.Future[Said]
    repeated: datetime | None = None

    def outcome(self) -> Said:
        """What the CEO said, once that is done. Raises `Refused` where there is no answer, with the reason."""
        if self.said.cancelled():
            raise Refused("overloaded", "The company stops; say it again when it is back, and it goes on.")
        try:
            said = self.said.result()
        except (GatewayError, ChangesError, Unwritable) as error:
            raise Refused("upstream_failed", str(error)) from error
        if said["state"] not in _ANSWERED:
            raise Refused("upstream_failed", said["answer"] or "The CEO gave no answer; ./elf log executive says why.")
        return said


Step = tuple[Literal["say", "repeat"], str]


def next_step(words: Words, earlier: Earlier | None, now: datetime, *, lost_answer: bool) -> Step:
    """Whether to say it, and under which id, or to give the earlier answer again. `lost_answer`: the client says it tries again."""
    begin = f"{words.conversation}{words.key}."
    if earlier is None:
        return "say", f"{begin}1"
    if earlier.state not in _ANSWERED or earlier.answered_at is None:
        return "say", earlier.correlation_id
    if (earlier.led_on or lost_answer) and now - earlier.answered_at < REPEATED_FOR:
        return "repeat", earlier.correlation_id
    return "say", f"{begin}{int(earlier.correlation_id.rpartition('.')[2]) + 1}"


def key_of(*parts: object) -> str:
    """A short name for these words and what belongs to them: JSON values."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


class Talks:
    """`tell` brings a message to the CEO under an id; `between` are who speaks and the team that answers.

    `rehearsal`: whether what the team says is a rehearsal model's.
    """

    def __init__(
        self,
        tell: Tell,
        database: Database,
        between: tuple[str, str],
        rehearsal: Callable[[], bool],
        now: Callable[[], datetime],
    ) -> None:
        self._tell, self._database, self._between = tell, database, between
        self._rehearsal, self._now = rehearsal, now
        self._deciding = asyncio.Lock()
        self._talks: dict[str, Talk] = {}

    async def say(self, words: Words, note: Note, *, lost_answer: bool = False) -> Talk:
        """The words on their way, or the talk they belong to already; `note` writes down which, before anything is done.

        Raises `Refused` when too much is under way, and whatever `note` raises.
        """
        async with self._deciding:
            open_ = [talk for talk in self._talks.values() if not talk.said.done()]
            for talk in open_:
                if talk.correlation_id.rpartition(".")[0] == words.conversation + words.key:
                    await note("joined", talk.correlation_id)
                    return talk
            earlier = await to_thread.run_sync(self._earlier, f"{words.conversation}{words.key}.")
            step, correlation_id = next_step(words, earlier, self._now(), lost_answer=lost_answer)
            if step == "say" and len(open_) >= MOST_OPEN:
                raise Refused(
                    "overloaded", f"{MOST_OPEN} messages wait for the CEO's answer; come back after one of them."
                )
            await note("allowed" if step == "say" else "repeated", correlation_id)
            if step == "repeat":
                return await self._repeated(correlation_id)
            return self._kept(Talk(correlation_id, asyncio.create_task(self._told(words.message, correlation_id))))

    async def find(self, correlation_id: str) -> Talk | None:
        """A talk by its id, also after a restart; None if there is none."""
        if talk := self._talks.get(correlation_id):
            return talk
        found = await to_thread.run_sync(self._earlier, correlation_id)
        return await self._repeated(correlation_id) if found and found.correlation_id == correlation_id else None

    async def close(self) -> None:
        """Gives up listening to what is under way."""
        open_ = [talk.said for talk in self._talks.values() if not talk.said.done()]
        for said in open_:
            said.cancel()
        await asyncio.gather(*open_, return_exceptions=True)

    async def _told(self, message: PersonMessage, correlation_id: str) -> Said:
        return await self._tell(message, correlation_id)

    def _kept(self, talk: Talk) -> Talk:
        # Nobody may be listening when it fails: that is no error of the loop's.
        talk.said.add_done_callback(lambda said: said.cancelled() or said.exception())
        self._talks.pop(talk.correlation_id, None)
        self._talks[talk.correlation_id] = talk
        for old in [one for one in self._talks.values() if one.said.done()][:-MOST_KEPT]:
            del self._talks[old.correlation_id]
        return talk

    async def _repeated(self, correlation_id: str) -> Talk:
        """What was answered to it, from what is kept here, else from the messages' own rows."""
        rows = await to_thread.run_sync(self._rows, correlation_id)
        talk = self._talks.get(correlation_id)
        if talk is None:
            said: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
            said.set_result(_as_said(rows) | {"rehearsal": self._rehearsal()})
            talk = self._kept(Talk(correlation_id, said))
        return Talk(correlation_id, talk.said, repeated=rows[0].sent.at)

    def _earlier(self, prefix: str) -> Earlier | None:
        with self._database.read() as session:
            found = messages.conversation(session, *self._between, prefix, most=1)
            if not found:
                return None
            sent, answer = found[0].sent, found[0].answer
            led_on = messages.latest(session, correlation=sent.correlation_id)
        state, at = (answer.state, answer.at) if answer else (None, None)
        return Earlier(sent.correlation_id, at, state, any(one.sent.hop > 1 for one in led_on))

    def _rows(self, correlation_id: str) -> list[Carried]:
        """The messages of one piece of business, oldest first."""
        with self._database.read() as session:
            return list(reversed(messages.latest(session, correlation=correlation_id)))


def _as_said(rows: list[Carried]) -> Said:
    """An answer that only the rows remember, with what they have for evidence. One that was lost says so."""
    tries = [one for one in rows if one.sent.hop == 1]
    answer, crossed = tries[-1].answer, [one for one in rows if one.sent.hop > 1 and one.answer]
    state = answer.state if answer else "lost"
    text = answer.text if answer and answer.text else "The answer was lost; say the same again, and it goes on."
    evidence = [f"{one.sent.receiver} answered: {one.answer.state}" for one in crossed if one.answer]
    return {
        "answer": text,
        "state": state,
        "correlation_id": rows[0].sent.correlation_id,
        "evidence": [{"kind": "message", "text": text} for text in evidence],
    }
