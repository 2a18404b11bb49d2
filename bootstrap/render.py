"""`./elf factory render`: what the factory makes of a spec, in a folder, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bootstrap.client import CompanyError
from mcp_servers.factories.fileset import NotOurs, write
from mcp_servers.factories.spec_files import load_spec
from mcp_servers.factories.team import render


def render_spec(spec_file: Path, out: Path) -> dict[str, Any]:
    """Writes the team's files below `out`; `{team, out, digest, files}`. Raises `CompanyError`."""
    try:
        spec = load_spec(spec_file.read_text())
    except OSError as error:
        raise CompanyError(f"{spec_file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'spec'}: {fault['msg']}" for fault in error.errors()[:5]
        )
        raise CompanyError(f"{spec_file} is no team: {faults}") from error
    except ValueError as error:
        raise CompanyError(f"{spec_file} is no team: {error}") from error
    fileset = render(spec)
    try:
        write(fileset, out)
    except NotOurs as error:
        raise CompanyError(f"nothing was written: {error}") from error
    except OSError as error:
        raise CompanyError(f"{out} could not be written whole ({error.strerror}); remove it and try again") from error
    return {"team": spec.name, "out": str(out), "digest": fileset.digest, "files": list(fileset)}
