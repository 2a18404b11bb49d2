"""A folder in Git beside the bytes a factory makes. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from mcp_servers.git.objects import Entry


def compare(
    expected: Mapping[str, bytes], entries: Iterable[Entry], path: str
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """(missing, extra, different) paths of the folder, against the bytes the factory makes. Modes count."""
    found = {entry.path.removeprefix(f"{path}/"): entry for entry in entries}
    different = [
        name
        for name, data in expected.items()
        if name in found and (found[name].mode != "100644" or found[name].sha != blob_sha(data))
    ]
    missing, extra = set(expected) - set(found), set(found) - set(expected)
    return tuple(sorted(missing)), tuple(sorted(extra)), tuple(sorted(different))


def blob_sha(data: bytes) -> str:
    """The name Git gives these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
