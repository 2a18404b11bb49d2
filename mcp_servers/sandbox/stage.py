"""The place of one run: its tree, written out, and a folder it may write to. Gone afterwards, whatever was made of it."""

from __future__ import annotations

import itertools
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mcp_servers.sandbox.port import Limits, SandboxFailed

#: What any program needs to start, and no more of `/etc` than that.
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
_FIRST_UID, _UIDS = 1_900_000_000, 100_000_000
_turns = itertools.count(secrets.randbelow(_UIDS))


@dataclass(frozen=True)
class Stage:
    """`uid` is the user to become, None where the kernel is nobody special itself."""

    tree: Path
    work: Path
    uid: int | None


@contextmanager
def staged(files: Mapping[str, bytes]) -> Generator[Stage]:
    """Writes the tree. Raises `SandboxFailed` if it cannot be, or if a path leads out of it."""
    root = Path(tempfile.mkdtemp(prefix="elf-sandbox-"))
    try:
        # A name that cannot be guessed keeps others out; the sandbox's own user has to get through.
        root.chmod(0o711)
        tree, work = root / "tree", root / "work"
        for folder in (tree, work):
            folder.mkdir()
        for path, data in files.items():
            _write(tree, path, data)
        # Nobody's number: what it may do as its user, it may do to itself alone. Each run has another.
        uid = _FIRST_UID + next(_turns) % _UIDS if os.geteuid() == 0 else None
        if uid is not None:
            os.chown(work, uid, uid)
        work.chmod(0o700)
        yield Stage(tree, work, uid)
    except OSError as error:
        raise SandboxFailed(f"the sandbox's files could not be written: {error}") from error
    finally:
        remove_tree(root)


def _write(tree: Path, path: str, data: bytes) -> None:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\0" in path:
        raise SandboxFailed(f"{path[:120]!r} leads out of the tree")
    target = tree / parts
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    for made in (target, *itertools.takewhile(lambda one: one != tree.parent, target.parents)):
        made.chmod(0o755 if made.is_dir() else 0o644)


def remove_tree(root: Path) -> None:
    """Whatever a run made of it: folders may be closed, or nested deeper than Python walks."""
    for command in (["chmod", "-R", "u+rwX", str(root)], ["rm", "-rf", "--", str(root)]):
        subprocess.run(command, capture_output=True, check=False, timeout=60)


def system_paths() -> list[Path]:
    """What exists of what every sandboxed program may read: the system's programs, this interpreter and its packages."""
    paths = [*map(Path, _SYSTEM), Path(sys.prefix), Path(sys.base_prefix)]
    return [path for path in dict.fromkeys(paths) if path.exists()]


def reachable_by_others(path: Path) -> bool:
    """Whether every folder on the way lets any user through."""
    real = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in (real, *real.parents) if folder.is_dir())


def limits_of(limits: Limits, *, already: int) -> dict[str, int]:
    """The kernel's own limits, by their names in `resource`. `already` is how many processes count before the first one."""
    return {
        "RLIMIT_AS": limits.address_bytes,
        "RLIMIT_CPU": limits.cpu_seconds + 1,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_NPROC": already + limits.processes,
        "RLIMIT_NOFILE": 512,
        "RLIMIT_CORE": 0,
        "RLIMIT_MSGQUEUE": 0,
    }


def processes_of_this_user() -> int:
    """Processes and threads that run as this user now."""
    me = os.getuid()
    count = 0
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == me:
                count += sum(1 for _ in (entry / "task").iterdir())
        except OSError:
            continue
    return count
