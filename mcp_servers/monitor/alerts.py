"""Tells people, through Apprise: Slack, Discord, email and the rest, each by its address.

Never in the way: a message is sent in a thread with a time limit, and one that does not arrive is written down, not raised.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio import to_thread

from mcp_servers.monitor.telling import HOUR, Message, due, message, over
from memory import watching
from memory.session import Database
from memory.watching import Cause, Standing
from policies.watch import AlertLaw

if TYPE_CHECKING:
    from apprise import Apprise

SEND_S = 20.0
#: News that something is over is told within this time, or not at all.
TOLD_WITHIN = timedelta(days=1)

log = logging.getLogger(__name__)


class Sender(Protocol):
    """Sends a message to everybody; returns how many of how many addresses took it. Blocks."""

    @property
    def addresses(self) -> int: ...
    def send(self, text: Message) -> int: ...


class AppriseSender:
    """`urls` as Apprise reads them; `BadAlertUrl` for one it cannot read. The addresses are secrets, and never in an error."""

    def __init__(self, urls: Sequence[str]) -> None:
        # It would log addresses.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        self._targets = [_target(url, number) for number, url in enumerate(urls, start=1)]

    @property
    def addresses(self) -> int:
        return len(self._targets)

    def send(self, text: Message) -> int:
        return sum(bool(target.notify(body=text.body, title=text.title)) for target in self._targets)


class BadAlertUrl(ValueError):
    """An address that Apprise cannot read."""


def _target(url: str, number: int) -> Apprise:
    with warnings.catch_warnings():
        # Its plugins load what Python is about to drop.
        warnings.simplefilter("ignore", DeprecationWarning)
        from apprise import Apprise  # only where it is used: most companies start without, and it takes a while

        target = Apprise()
        if target.add(url):
            return target
    raise BadAlertUrl(
        f"the address number {number} of ELF_ALERT_URLS cannot be used; write it as Apprise's documentation says, "
        "such as slack://…, discord://…, mailto://… or json://host/path"
    )


class Alerts:
    """Keeps what is told to whom, and tells it. `redact` sees every text before it is stored or sent."""

    def __init__(
        self,
        database: Database,
        sender: Sender | None,
        redact: Callable[[str], str],
        address: str,
        send_seconds: float = SEND_S,
    ) -> None:
        self._database = database
        self._sender = sender
        self._redact = redact
        self._address = address
        self._send_seconds = send_seconds

    @property
    def reaches(self) -> int:
        """How many addresses are told."""
        return self._sender.addresses if self._sender else 0

    async def tell(self, causes: Sequence[Cause], law: AlertLaw, now: datetime) -> str | None:
        """Writes down which causes there are now, and tells of those that are due; returns what came of it, None if none was."""
        noted = [
            Cause(one.key, one.level, self._redact(one.title), self._redact(one.text)) for one in _once_each(causes)
        ]
        claimed = await to_thread.run_sync(self._claim, noted, law, now)
        if claimed is None:
            return None
        number, chosen, ended = claimed
        outcome = await self._send(message(chosen, ended, self._address))
        told = [*(cause.key for cause in chosen), *(row.cause for row in ended)]
        await to_thread.run_sync(self._told, number, told, outcome)
        return outcome

    def _claim(
        self, causes: list[Cause], law: AlertLaw, now: datetime
    ) -> tuple[int, list[Cause], list[Standing]] | None:
        with self._database.begin() as session:
            watching.note_causes(session, causes, now, timedelta(minutes=law.gone_for_minutes))
            if not self.reaches:
                return None
            sent = watching.messages_since(session, now - HOUR)
            chosen = due(watching.standing(session), sent, law, now, seen_at=now)
            ended = over(watching.cleared(session, now - TOLD_WITHIN), law, now) if sent < law.at_most_an_hour else []
            if not chosen and not ended:
                return None
            keys = [cause.key for cause in chosen], [row.cause for row in ended]
            return watching.claim(session, *keys, now), chosen, ended

    async def _send(self, text: Message) -> str:
        assert self._sender is not None
        text = Message(self._redact(text.title), self._redact(text.body))
        took = -1
        try:
            with anyio.move_on_after(self._send_seconds):
                took = await to_thread.run_sync(self._sender.send, text, abandon_on_cancel=True)
        except Exception as error:  # noqa: BLE001 - whatever a messenger does, the company goes on
            return self._redact(f"failed: {type(error).__name__}: {error}")[:200]
        if took < 0:
            return f"failed: no answer in {self._send_seconds:g} s"
        if took == 0:
            return f"failed: none of {self.reaches} addresses took it"
        return f"sent to {took} of {self.reaches}"

    def _told(self, number: int, causes: list[str], outcome: str) -> None:
        if outcome.startswith("failed"):
            log.warning("an alert reached nobody (%s); it is tried again", outcome)
        with self._database.begin() as session:
            watching.told(session, number, causes, outcome)


def _once_each(causes: Sequence[Cause]) -> list[Cause]:
    return list(
        {cause.key[:200]: Cause(cause.key[:200], cause.level, cause.title, cause.text) for cause in causes}.values()
    )
