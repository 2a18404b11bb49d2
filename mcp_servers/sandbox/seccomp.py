"""The system calls that no sandboxed process needs, as a filter for the kernel. Pure: an architecture in, bytes out.

What the file rules (Landlock, or a file system of its own) do not cover is refused here: every socket, other processes' memory, mounts,
namespaces, kernel keys, shared memory that outlives a process, files without a path, modes and owners of files. A call that is
newer than this list does not exist for the process. Numbers are from the kernel's tables.
"""

from __future__ import annotations

import struct

_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _GREATER, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NR, _ARCH, _ARG0 = 0, 4, 16
#: New namespaces of any kind (mount, cgroup, uts, ipc, user, pid, net).
_NAMESPACES = 0x7E020000

#: Audit's name of the architecture, and the highest call this list knows of.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_NEWEST = 466

#: The same numbers everywhere: io_uring, the new mount calls, pidfd_getfd, process_madvise, mount_setattr, quotactl_fd,
#: memfd_secret, fchmodat2, setxattrat, removexattrat.
_SHARED = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 440, 442, 443, 447, 452, 463, 466)
_REFUSED = {
    "x86_64": (
        *(41, 101, 310, 311, 165, 166, 155, 161, 272, 308, 321, 250, 248, 249, 298, 323, 246, 320, 175, 313, 176),
        *(304, 303, 319, 29, 30, 31, 68, 64, 240, 241, 90, 91, 268, 92, 93, 94, 260, 188, 189, 190, 197, 198, 199),
        *(132, 235, 261, 280, 103, 163, 167, 168, 169, 164, 227, 159, 305, 179, 172, 173, 153, 212, 180, 135, 154),
        *(300, 312, 170, 171, 133, 259),
    ),
    "aarch64": (
        *(198, 117, 270, 271, 40, 39, 41, 51, 97, 268, 280, 219, 217, 218, 241, 282, 104, 294, 105, 273, 106),
        *(265, 264, 279, 194, 195, 196, 186, 190, 180, 181, 52, 53, 55, 54, 5, 6, 7, 14, 15, 16),
        *(88, 116, 89, 224, 225, 142, 170, 112, 171, 266, 60, 58, 18, 42, 92, 262, 272, 161, 162, 33),
    ),
}
#: kill, tkill, tgkill, the two that queue a signal, pidfd_send_signal.
_SIGNALS = {"x86_64": (62, 200, 234, 129, 297, 424), "aarch64": (129, 130, 131, 138, 240, 424)}
_CLONE, _CLONE3 = {"x86_64": 56, "aarch64": 220}, 435
_PRLIMIT = {"x86_64": 302, "aarch64": 261}


class UnknownArchitecture(Exception):
    """There is no list of system calls for this machine; without one there is no filter."""


def program(machine: str, *, signals: bool) -> bytes:
    """The filter for `uname -m`. `signals` allows them: only where something else keeps them inside. Raises `UnknownArchitecture`."""
    if machine not in _ARCHITECTURES:
        raise UnknownArchitecture(f"no system call numbers are known for {machine}; known: {', '.join(_ARCHITECTURES)}")
    refused = (*_REFUSED[machine], *_SHARED, *(() if signals else _SIGNALS[machine]))
    steps = [
        *(_load(_ARCH), _jump(_EQUAL, _ARCHITECTURES[machine], 1, 0), _return(_KILL), _load(_NR)),
        # Beyond the newest known call lie also the calls of the other word size.
        *(_jump(_GREATER, _NEWEST, 0, 1), _return(_ERRNO | _ENOSYS)),
        # Its flags are in memory, where no filter can look; C libraries then take the older call.
        *(_jump(_EQUAL, _CLONE3, 0, 1), _return(_ERRNO | _ENOSYS)),
    ]
    for number in sorted(set(refused)):
        steps += [_jump(_EQUAL, number, 0, 1), _return(_ERRNO | _EPERM)]
    # No new namespaces; no other process's limits.
    steps += [_jump(_EQUAL, _CLONE[machine], 0, 4), _load(_ARG0), _jump(_ANY_BIT, _NAMESPACES, 0, 1)]
    steps += [_return(_ERRNO | _EPERM), _return(_ALLOW)]
    steps += [_jump(_EQUAL, _PRLIMIT[machine], 0, 3), _load(_ARG0), _jump(_EQUAL, 0, 1, 0), _return(_ERRNO | _EPERM)]
    return b"".join([*steps, _return(_ALLOW)])


def _load(offset: int) -> bytes:
    return struct.pack("=HBBI", _LOAD, 0, 0, offset)


def _jump(test: int, value: int, yes: int, no: int) -> bytes:
    """Skips `yes` or `no` steps."""
    return struct.pack("=HBBI", test, yes, no, value)


def _return(answer: int) -> bytes:
    return struct.pack("=HBBI", _RETURN, 0, 0, answer)
