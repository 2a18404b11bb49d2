"""Golden files: what the factories render, kept as it was. `ELF_GOLDEN=overwrite` writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

from mcp_servers.factories.fileset import File, FileSet, write

GOLDEN = Path(__file__).parent / "golden"


def is_as_it_was(rendered: FileSet, name: str) -> bool:
    """Whether the files are, byte for byte, those kept under the name."""
    folder = GOLDEN / name
    if os.environ.get("ELF_GOLDEN") == "overwrite":
        kept = FileSet({f"{path}.golden": File(data) for path, data in _kept(folder).items()})
        write(FileSet({f"{path}.golden": file for path, file in rendered.files.items()}), folder, replacing=kept)
    return dict(rendered) == _kept(folder)


def _kept(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix()[: -len(".golden")]: p.read_bytes() for p in folder.rglob("*.golden")}
