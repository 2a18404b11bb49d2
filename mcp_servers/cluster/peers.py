"""Which team's process holds the other end of a connection to this machine."""

from __future__ import annotations

from collections.abc import Mapping

import psutil

#: Address and port of one end of a TCP connection.
End = tuple[str, int]


def team_at(end: End, processes: Mapping[int, str], *, likely: str | None = None) -> str | None:
    """The team, of `processes` (team by pid), that holds the socket whose own end is `end`; None if none of them does.

    What a process started counts as the process itself. Asks the operating system; a millisecond or so a team, the `likely` one first.
    """
    for pid, team in sorted(processes.items(), key=lambda item: item[1] != likely):
        if _holds(pid, end):
            return team
    return None


def _holds(pid: int, end: End) -> bool:
    try:
        first = psutil.Process(pid)
        family = [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return False
    return any(_has(process, end) for process in family)


def _has(process: psutil.Process, end: End) -> bool:
    try:
        return any(one.laddr == end and one.raddr for one in process.net_connections("tcp4"))
    except psutil.NoSuchProcess:
        return False
