"""How the difference between a tool as admitted and as it is now looks in a terminal. Its words are somebody else's: text, never markup."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from bootstrap import show_proposal
from bootstrap.show import plain

_SIGNS = {"+": "green", "-": "red", "@": "cyan"}


def page(console: Console, found: dict[str, Any]) -> None:
    server = found["server"]
    console.print("What follows was written by whoever runs the server, for models to read. Look for orders in it.")
    for one in found["tools"]:
        rest = "" if one["chosen"] else f"; not proposed (--tool {one['tool']} does)"
        console.print(plain(f"\n{server}__{one['tool']}: {one['why']}{rest}", "bold" if one["chosen"] else "dim"))
        if one["problem"]:
            console.print(plain(f"  cannot be admitted: {one['problem']}", "yellow"))
        for line in one["diff"] if one["chosen"] else ():
            console.print(plain(f"  {line}", _SIGNS.get(line[:1], "")))
    console.print()
    # The difference stood above already, easier to read than in the file.
    show_proposal.page(console, found["proposal"] | {"diff": ""})
