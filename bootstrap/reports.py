"""`./elf factory reports`: what parents know of the teams below them, in a checkout of the company, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bootstrap.client import CompanyError
from mcp_servers.factories.chart import render_chart
from mcp_servers.factories.fileset import File, FileSet
from mcp_servers.factories.spec_files import BadSpec, load_spec
from teams.chart import FOLDER
from teams.spec import TeamSpec


def reports_of(checkout: Path) -> FileSet:
    """What `reports/` holds by the specs of all teams of a checkout; paths from that folder. Raises `CompanyError`."""
    specs = sorted(path for zone in ("meta_teams", "teams") for path in (checkout / zone).glob("*/team.yaml"))
    if not specs:
        raise CompanyError(f"{checkout} holds no team; name the root of a checkout of the company's repository")
    chart = render_chart([_read(path) for path in specs])
    return FileSet({path.removeprefix(f"{FOLDER}/"): File(data) for path, data in chart.items()})


def files_below(folder: Path) -> dict[str, bytes]:
    """The files of a folder, byte-code left out, by their path from it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def write_reports(checkout: Path) -> dict[str, Any]:
    """Makes `reports/` what it has to be, and touches nothing else; `{folder, files, written, removed}`. Raises `CompanyError`."""
    wanted, folder = reports_of(checkout), checkout / FOLDER
    there = files_below(folder)
    written = [path for path, data in wanted.items() if there.get(path) != data]
    removed = [path for path in there if path not in wanted]
    try:
        for path in written:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(wanted[path])
        for path in removed:
            (folder / path).unlink()
    except OSError as error:
        raise CompanyError(
            f"{folder} could not be written whole ({error.strerror}); mend that and try again"
        ) from error
    return {"folder": str(folder), "files": len(wanted), "written": written, "removed": removed}


def _read(path: Path) -> TeamSpec:
    try:
        return load_spec(path.read_bytes())
    except BadSpec as error:
        raise CompanyError(f"{path} is no team: {'; '.join(error.errors)}") from error
