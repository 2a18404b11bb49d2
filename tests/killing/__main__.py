"""`python -m tests.killing [pairs]`: every kill point of the story, so many pairs of them, and the same for a naive company."""

from __future__ import annotations

import random
import sys
import tempfile
from itertools import count
from pathlib import Path

from tests.git.desk_world import running_server
from tests.killing.telling import Told, difference, make_template, storytellers, tell


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory(prefix="elf-killing-") as scratch, running_server() as server:
        root, number, processes = Path(scratch), count(), storytellers()
        template = make_template(root / "template")

        def told(*kills: int, naive: bool = False) -> Told:
            return tell(root / f"story-{next(number)}", server, template, processes, *kills, naive=naive)

        whole, naive = told(), told(naive=True)
        points = range(len(whole.passed))
        chosen = random.Random(len(whole.passed)).choices(points, k=2 * pairs)
        print(f"{'kills':<28}{'tried':>7}{'as if nothing had happened':>30}")
        _row("one, at every point", {(at,): difference(whole, told(at)) for at in points})
        twice = [(first, second % 30) for first, second in zip(chosen[::2], chosen[1::2], strict=True)]
        _row("two, one in the repair", {kills: difference(whole, told(*kills)) for kills in twice})
        _row("one, naive company", {(at,): difference(naive, told(at, naive=True)) for at in range(len(naive.passed))})


def _row(name: str, found: dict[tuple[int, ...], dict[str, str]]) -> None:
    print(f"{name:<28}{len(found):>7}{sum(not it for it in found.values()):>30}")
    for kills, differs in found.items():
        if differs:
            print(f"    at {kills}: {'; '.join(f'{name}: {text}' for name, text in differs.items())[:300]}")


if __name__ == "__main__":
    main()
