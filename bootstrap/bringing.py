"""What a person means by the files and folders they name to `./elf propose`: paths in the company's repository, and bytes."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootstrap.client import CompanyError
from bootstrap.reports import files_below
from bootstrap.seed import BadCheckout, files_in, mode_of
from mcp_servers.factories.server_files import load_server
from mcp_servers.factories.spec_files import BadSpec, load_spec
from mcp_servers.git.compared import blob_sha
from policies.kinds import CATALOG, LAW_FOLDER, server_folder, team_folder
from policies.strict_yaml import BadYaml, load

_SIGN = Path("policies", "changes.yaml")
_LARGEST = 2_000_000


@dataclass
class Gathered:
    """`files` as the office takes them; `notes` say what was left out, and why."""

    files: dict[str, dict[str, Any]] = field(default_factory=dict[str, "dict[str, Any]"])
    notes: list[str] = field(default_factory=list[str])


def gather(named: Sequence[Path], main: Sequence[Mapping[str, str]]) -> Gathered:
    """What differs from main (`[{path, mode, sha}]`) of what was named. Raises `CompanyError`."""
    found = Gathered()
    there = {one["path"]: (one["mode"], one["sha"]) for one in main}
    for one in named:
        if not one.exists():
            raise CompanyError(f"there is no {one}; a team is retired with --retire TEAM")
        if one.is_dir():
            _folder(one.resolve(), there, found)
        else:
            _put(_path_of(one.resolve(), there), one, there, found)
    return found


def _folder(folder: Path, there: Mapping[str, tuple[str, str]], found: Gathered) -> None:
    root = _root_of(folder)
    if root is None:
        specs = [folder / name for name in ("team.yaml", "server.yaml") if (folder / name).is_file()]
        if not specs:
            raise CompanyError(
                f"{folder} lies in no checkout of the company (there is no {_SIGN} above it) and holds neither team.yaml nor server.yaml"
            )
        _put(_path_of(specs[0], there), specs[0], there, found)
        return
    inside = folder.relative_to(root).as_posix()
    prefix = "" if inside == "." else f"{inside}/"
    if team_folder(f"{prefix}x") or server_folder(f"{prefix}x"):
        paths: Iterable[str] = (f"{prefix}{name}" for name in files_below(folder))
    else:
        paths = (path for path in _files_in(root, prefix, found) if (root / path).is_file())
    taken = [path for path in paths if _is_meant(path, prefix)]
    for path in taken:
        _put(path, root / path, there, found)
    for path in _removed(root, prefix, there):
        if _is_meant(path, prefix):
            found.files[path] = {"path": path, "data": None}


def _files_in(root: Path, prefix: str, found: Gathered) -> list[str]:
    """What belongs to the checkout below that folder."""
    try:
        paths = [path for path in files_in(root) if path.startswith(prefix)]
    except BadCheckout as error:
        raise CompanyError(str(error)) from error
    if loose := _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", prefix or "."):
        more = f" and {len(loose) - 3} more" if len(loose) > 3 else ""
        found.notes.append(f"not taken, for Git does not track it (git add): {', '.join(loose[:3])}{more}")
    return paths


def _is_meant(path: str, prefix: str) -> bool:
    """The folder `policies` means the law: what people edit, and not the code that reads it."""
    law = prefix.startswith(LAW_FOLDER) or path.startswith(LAW_FOLDER)
    return not law or path.endswith((".yaml", ".yml", ".json"))


def _removed(root: Path, prefix: str, there: Mapping[str, tuple[str, str]]) -> list[str]:
    """Files of main that the checkout had, and has no more."""
    gone = set(_git(root, "ls-files", "-z", "--deleted", "--", prefix or "."))
    asked = ("log", "-z", "--diff-filter=D", "--name-only", "--no-renames", "--format=", "HEAD", "--", prefix or ".")
    gone |= {
        *_git(root, "diff", "-z", "--name-only", "--diff-filter=D", "--cached", "HEAD", "--", prefix or "."),
        *_git(root, *asked),
    }
    return sorted(path for path in gone if path in there and not (root / path).exists())


def _git(root: Path, *arguments: str) -> list[str]:
    """The paths that Git names; none where the checkout is no Git repository."""
    if not (root / ".git").exists():
        return []
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False, timeout=60)
    if done.returncode != 0:
        raise CompanyError(f"git {arguments[0]} in {root}: {done.stderr.decode(errors='replace').strip()[:300]}")
    return [part for part in done.stdout.decode(errors="replace").split("\0") if part]


def _path_of(file: Path, there: Mapping[str, tuple[str, str]]) -> str:
    """Where the file belongs in the repository. A spec may lie anywhere: what it is called says where it goes."""
    root = _root_of(file.parent)
    path = file.relative_to(root).as_posix() if root else None
    placed = path is not None and (
        path in there or team_folder(path) or server_folder(path) or path.startswith(LAW_FOLDER)
    )
    if path is not None and placed:
        return path
    if file.suffix in {".yaml", ".yml"} and (by_spec := _by_spec(file, there)) is not None:
        return by_spec
    if path is None:
        raise CompanyError(f"{file} lies in no checkout of the company, and is no spec of a team or a tool server")
    return path


def _by_spec(file: Path, there: Mapping[str, tuple[str, str]]) -> str | None:
    """Where a team's or a tool server's spec goes; None for every other YAML file."""
    data = _read(file)
    try:
        held = load(data)
        if isinstance(held, dict) and "members" in held:
            folder = load_spec(data).folder
            zone = "meta_teams" if f"meta_teams/{folder}/team.yaml" in there else "teams"
            return f"{zone}/{folder}/team.yaml"
        if isinstance(held, dict) and {"kind", "tools"} <= set(held):
            return f"{CATALOG}{load_server(data).name}/server.yaml"
    except (BadSpec, BadYaml) as error:
        raise CompanyError(f"{file}: {error}") from error
    return None


def _put(path: str, file: Path, there: Mapping[str, tuple[str, str]], found: Gathered) -> None:
    if file.is_symlink():
        raise CompanyError(f"{file} is a symbolic link; the company's repository takes plain files only")
    data = _read(file)
    if there.get(path) != (mode_of(file), blob_sha(data)):
        found.files[path] = {"path": path, "mode": mode_of(file), "data": base64.b64encode(data).decode()}


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > _LARGEST:
            raise CompanyError(
                f"{file} is larger than {_LARGEST // 1_000_000} MB; the company takes smaller files only"
            )
        return file.read_bytes()
    except OSError as error:
        raise CompanyError(f"{file} cannot be read: {error.strerror}") from error


def _root_of(folder: Path) -> Path | None:
    """The root of the checkout that the folder lies in."""
    return next((one for one in (folder, *folder.parents) if (one / _SIGN).is_file()), None)
