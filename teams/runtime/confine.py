"""Shuts a team process in, with Linux's Landlock: it may read what it needs to run, write to its own folder, connect to the gateway.

Landlock also keeps the process from reading other processes' memory or environment, and (from ABI 6) from signalling them. It needs
no privilege, costs nothing at run time and cannot be taken off again. Where the kernel has no Landlock the process runs unconfined
and says so: the answer is shown with the team's health.

Source: the kernel's `Documentation/userspace-api/landlock.rst`.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH, _RULE_PORT = 1, 2
_VERSION = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_CONNECT_TCP, _BIND_TCP = 1 << 1, 1 << 0
_SCOPE_ABSTRACT_UNIX, _SCOPE_SIGNAL = 1 << 0, 1 << 1

#: File system rights known to each ABI version: 13 in the first, then refer, truncate, ioctl.
_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _PortRule(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def version() -> int:
    """The kernel's Landlock version; 0 or less where it has none."""
    if sys.platform != "linux":
        return 0
    return ctypes.CDLL(None).syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))


def confine(*, readable: Sequence[Path], writable: Sequence[Path], connect_port: int | None) -> str:
    """Restricts the calling thread and all it starts, for good; call it before any other thread exists.

    Without a `connect_port` it connects to nothing.

    Returns what holds from now on, for people: `landlock 7: files, network, signals`, or `none: …` with the reason.
    Raises `OSError` when the kernel has Landlock but refuses the rules: the caller must not go on then.
    """
    if sys.platform != "linux":
        return f"none: {sys.platform} has no Landlock"
    libc = ctypes.CDLL(None, use_errno=True)
    abi = version()
    if abi < 1:
        return "none: this Linux kernel has no Landlock (5.13 or newer has)"
    handled = (1 << _FS_BITS.get(abi, 16)) - 1
    ruleset = _Ruleset(
        fs=handled,
        net=_CONNECT_TCP | _BIND_TCP if abi >= 4 else 0,
        scoped=_SCOPE_ABSTRACT_UNIX | _SCOPE_SIGNAL if abi >= 6 else 0,
    )
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = _checked(libc.syscall(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0)))
    try:
        for path in readable:
            _allow_path(libc, rules, path, _READ & handled)
        for path in writable:
            _allow_path(libc, rules, path, handled)
        _allow_path(libc, rules, Path("/dev/null"), (_READ_FILE | _WRITE_FILE) & handled)
        if abi >= 4 and connect_port is not None:
            port = _PortRule(allowed=_CONNECT_TCP, port=connect_port)
            _checked(libc.syscall(_ADD_RULE, rules, _RULE_PORT, ctypes.byref(port), ctypes.c_uint32(0)))
        _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(libc.syscall(_RESTRICT_SELF, rules, ctypes.c_uint32(0)))
    finally:
        os.close(rules)
    kept = ["files"] + ["network"] * (abi >= 4) + ["signals"] * (abi >= 6)
    return f"landlock {abi}: {', '.join(kept)}"


def _allow_path(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    """A path that is not there needs no rule."""
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        allowed = rights if path.is_dir() else rights & _FILE_RIGHTS
        rule = _PathRule(allowed=allowed, parent=parent)
        _checked(libc.syscall(_ADD_RULE, rules, _RULE_PATH, ctypes.byref(rule), ctypes.c_uint32(0)))
    finally:
        os.close(parent)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock refused the rules: {os.strerror(code)}")
    return result


def code_to_read() -> list[Path]:
    """What any Python process must read: the interpreter, its packages, the system's libraries, and of /proc itself alone."""
    system = ["/usr", "/lib", "/lib64", "/bin", "/etc", "/dev/urandom", "/sys/devices/system/cpu"]
    own = ["/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/filesystems", "/proc/sys/kernel"]
    return [Path(sys.prefix), Path(sys.base_prefix), *map(Path, [*system, *own])]
