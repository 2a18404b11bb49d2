"""Which commit of each change was last shown to whoever types here: what a yes without a commit's name is a yes to."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bootstrap.home import Home


class Seen:
    """A small file in the home. One that cannot be read counts as nothing seen; a lost entry costs another look."""

    def __init__(self, home: Home) -> None:
        self._file = home.path / "seen.json"

    def head(self, number: int) -> str | None:
        """The commit of this change that was shown last."""
        return self._heads().get(str(number))

    def note(self, shown: Mapping[int, str]) -> None:
        """These commits (by change) were printed."""
        heads = self._heads() | {str(number): head for number, head in shown.items()}
        descriptor, name = tempfile.mkstemp(dir=self._file.parent, prefix="seen-")
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(heads, file)
            Path(name).replace(self._file)
        except OSError:
            with suppress(FileNotFoundError):
                Path(name).unlink()
            raise

    def _heads(self) -> dict[str, str]:
        try:
            found = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {str(key): value for key, value in found.items() if isinstance(value, str)}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - any JSON
