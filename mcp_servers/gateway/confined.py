"""Runs a tool server's program shut in: python -m mcp_servers.gateway.confined FOLDER PROGRAM [ARGUMENT…]

It may read what programs need, write in its own folder, and reach no network. Where the machine cannot shut it in, it is not run.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from teams.runtime.confine import code_to_read, confine

#: Connecting is allowed to this port alone, where nobody listens: a rule must name one.
_NOWHERE = 9


def main(arguments: list[str]) -> None:
    """Does not return: becomes the program, or exits with 126 and the reason."""
    folder, program, *rest = Path(arguments[0]), *arguments[1:]
    path = shutil.which(program)
    if path is None:
        sys.exit(f"there is no program {program!r}; install it where the company runs")
    os.chdir(folder)
    said = confine(readable=[*code_to_read(), Path(path).resolve().parent], writable=[folder], connect_port=_NOWHERE)
    if said.startswith("none"):
        sys.stderr.write(f"not run: it cannot be shut in ({said})\n")
        sys.exit(126)
    os.execv(path, [path, *rest])  # noqa: S606 (no shell is wanted: the arguments are a list)


if __name__ == "__main__":
    main(sys.argv[1:])
