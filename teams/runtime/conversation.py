"""The conversation inside a team (F22): one JSON line an utterance, which people read with `./elf log TEAM`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TextIO


class Conversation:
    """Writes who said what to whom. Safe to use from several threads: a line is never torn."""

    def __init__(self, team: str, stream: TextIO, clock: Callable[[], datetime]) -> None:
        self._team = team
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()

    def say(self, *, task: str, speaker: str, listener: str, text: str) -> None:
        """One utterance. Members go by their name, others as they are addressed (`person:owner`, `devops`)."""
        line = {
            "conversation": True,
            "at": self._clock().isoformat(),
            "team": self._team,
            "task": task,
            "speaker": speaker,
            "listener": listener,
            "text": text,
        }
        with self._lock:
            self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._stream.flush()
