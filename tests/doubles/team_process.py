"""A process of its own that calls the gateway as a team's process does, with whatever token the test gives it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

#: For each line (JSON: path, token, by a grandchild?) it asks over one kept connection, and says the answer's status. As the
#: nursery's children do, it keeps below it whatever it starts.
_PROCESS = """
import ctypes, http.client, json, os, sys
ctypes.CDLL(None).prctl(36, 1)
host = sys.argv[1]
kept = http.client.HTTPConnection(host)
def ask(connection, path, token):
    connection.request("GET", path, headers={"Authorization": "Bearer " + token})
    answer = connection.getresponse()
    answer.read()
    return answer.status
def by_an_orphan(path, token):
    reads, writes = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            os.write(writes, str(ask(http.client.HTTPConnection(host), path, token)).encode())
        os._exit(0)
    os.wait()
    return int(os.read(reads, 10))
for line in sys.stdin:
    path, token, orphan = json.loads(line)
    print(by_an_orphan(path, token) if orphan else ask(kept, path, token), flush=True)
"""


@dataclass(frozen=True)
class TeamProcess:
    pid: int
    lines_in: IO[str]
    lines_out: IO[str]

    def asks(self, path: str, token: str, *, by_an_orphan: bool = False) -> int:
        """The status of a GET with this token."""
        self.lines_in.write(json.dumps([path, token, by_an_orphan]) + "\n")
        self.lines_in.flush()
        return int(self.lines_out.readline())


@contextmanager
def team_process(url: str) -> Generator[TeamProcess]:
    """The process, which calls this address alone, until the block ends."""
    command = [sys.executable, "-c", _PROCESS, url.removeprefix("http://")]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield TeamProcess(process.pid, process.stdin, process.stdout)
