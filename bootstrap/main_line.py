"""Where main is, asked often: a file is read instead of a Git process started, wherever Git keeps the branch in one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from mcp_servers.git.repository import Repository

MAIN = "refs/heads/main"
_SHA = re.compile(r"[0-9a-f]{40}")
_SERVERS = "mcp_servers"


class MainLine:
    """The company's main branch. Threads may share it."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._file = os.fspath(repository.git_dir / MAIN)

    def commit(self) -> str:
        """Main's commit. A loose ref counts before any packed one, so its file is the truth where it is there."""
        try:
            # Asked several times at every call of the gateway: the file itself, without what `open` puts around it.
            opened = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return self._repository.resolve(MAIN)
        try:
            text = os.read(opened, 64).decode("ascii", "replace").strip()
        finally:
            os.close(opened)
        return text if _SHA.fullmatch(text) else self._repository.resolve(MAIN)

    def server_files(self, commit: str) -> Mapping[str, bytes]:
        """Every `server.yaml` below mcp_servers at the commit, by path."""
        entries = [
            it
            for it in self._repository.listing(commit, _SERVERS)
            if it.path.endswith("/server.yaml") and it.kind == "blob" and it.size is not None
        ]
        blobs = self._repository.blobs([entry.sha for entry in entries])
        return {entry.path: data for entry, data in zip(entries, blobs, strict=True)}
