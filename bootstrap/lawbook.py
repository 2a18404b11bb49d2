"""The law as main has it now, read again when main moves. A law that cannot be read lets nothing through."""

from __future__ import annotations

import threading

from bootstrap.main_line import MainLine
from mcp_servers.git.facts import read_base
from mcp_servers.git.repository import Repository
from policies.law import Law


class LawBook:
    """Threads may share it."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._main = MainLine(repository)
        self._turn = threading.Lock()
        self._read: tuple[str, Law] | None = None

    def law(self) -> Law:
        """Main's law. Raises `BadLaw` where main's policies cannot be read: then every grant and budget is refused."""
        commit = self._main.commit()
        with self._turn:
            if self._read is None or self._read[0] != commit:
                self._read = (commit, read_base(self._repository, "main").law)
            return self._read[1]
