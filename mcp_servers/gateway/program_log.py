"""What a tool server's program says on its standard error, kept in a file: line by line, freed of secrets, and bounded.

A program may say as much as it likes, at once or for years: it is always read to the end, so that it never has to wait, and what is
more than a file's worth, or more than a minute's share, is counted and left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from anyio import to_thread

#: A file is moved aside at this size; the one that was moved aside before goes. So a program holds twice this at most.
MAX_BYTES = 256_000
#: What is kept of a minute.
MAX_BYTES_A_MINUTE = 64_000
MAX_LINE = 4_000
_CHUNK = 65_536
_MINUTE = timedelta(minutes=1)

log = logging.getLogger(__name__)


class ProgramLog:
    """`path` and, moved aside, `<path>.1`. `redact` sees every line before it is written. `shown`: how people are told of the file."""

    def __init__(self, path: Path, redact: Callable[[str], str], now: Callable[[], datetime], shown: str = "") -> None:
        self._path, self._redact, self._now, self.shown = path, redact, now, shown or path.name
        self._minute: datetime | None = None
        self._written = self._left_out = 0

    async def follow(self, stream: asyncio.StreamReader) -> None:
        """Reads until the program ends."""
        rest, overlong = b"", False
        while chunk := await stream.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if overlong and lines:
                # The end of a line whose beginning was left out already.
                lines, overlong = lines[1:], False
            if len(rest) > MAX_LINE:
                # A part of a line may end in the middle of a secret: it is left out whole.
                rest, overlong, self._left_out = b"", True, self._left_out + (not overlong)
            await self._keep(lines)
        await self._keep([] if overlong else [rest])

    async def _keep(self, lines: list[bytes]) -> None:
        now, kept = self._now(), list[bytes]()
        if self._minute is None or now - self._minute >= _MINUTE or now < self._minute:
            self._minute, self._written = now, 0
        for line in lines:
            if not line.strip():
                continue
            if len(line) > MAX_LINE or self._written + len(line) > MAX_BYTES_A_MINUTE:
                self._left_out += 1
            else:
                kept.append(line)
                self._written += len(line) + 1
        if not kept:
            return
        try:
            await to_thread.run_sync(self._write, kept, now)
        except OSError as error:
            # The program goes on, and is read on: it must not wait for a disk.
            self._left_out += len(kept)
            log.warning("what a tool server said cannot be kept in %s: %s", self._path, error.strerror)

    def _write(self, lines: list[bytes], now: datetime) -> None:
        head = f"{now:%Y-%m-%d %H:%M:%S} "
        text = [head + _plain(self._redact(line.decode(errors="replace"))) for line in lines]
        if self._left_out:
            text.insert(
                0, f"{head}({self._left_out} lines before this one were too long or too many, and are left out)"
            )
            self._left_out = 0
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        with self._path.open("a") as file:
            file.write("\n".join(text) + "\n")


def _plain(line: str) -> str:
    """Without what a terminal would act on."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in line)
