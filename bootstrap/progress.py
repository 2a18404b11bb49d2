"""What the kernel tells whoever started it, while it starts: one JSON line a step, then ready or failed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any


class Progress:
    """Writes to a descriptor; with none, to nobody. After `ready` or `failed` it says no more."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    @contextmanager
    def step(self, name: str) -> Generator[None]:
        """Reports the block's time once it has ended well."""
        began = time.monotonic()
        yield
        self._say({"step": name, "seconds": round(time.monotonic() - began, 3)})

    def ready(self) -> None:
        self._say({"ready": True})
        self._close()

    def failed(self, sentence: str) -> None:
        self._say({"failed": sentence})
        self._close()

    def _say(self, event: dict[str, Any]) -> None:
        if self._descriptor is not None:
            # Whoever started us may have gone; that is no reason not to serve.
            with suppress(BrokenPipeError):
                os.write(self._descriptor, json.dumps(event).encode() + b"\n")

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
