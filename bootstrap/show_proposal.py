"""How a proposal made by hand looks in a terminal: what it changes, what the gate says, and what comes next."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from bootstrap.show import plain
from policies.verdict import many

_MARKS = {"A": "new", "M": "changed", "D": "removed", "T": "changed"}
_NEWS = {"opened": "is open", "found": "was open already, with exactly this", "replaced": "has this as its new version"}
_SIGNS = {"+": "green", "-": "red", "@": "cyan"}


def page(console: Console, found: dict[str, Any]) -> None:
    kind = found["kind"].replace("_", " ")
    console.print(plain(f"The gate sees a {kind} change:", "bold"))
    _files(console, found["files"])
    for word, key in (("kept what main changed meanwhile in", "merged"), ("left as main has it now:", "behind")):
        if found[key]:
            console.print(plain(f"  {word} {', '.join(found[key])}", "dim"))
    if found["not_taken"]:
        names = ", ".join(found["not_taken"][:3]) + (" …" if len(found["not_taken"]) > 3 else "")
        console.print(plain(f"  made by the factory, not taken from you: {names}", "yellow"))
    for note in found["notes"]:
        console.print(plain(f"  {note}", "yellow"))
    if found["opened"]:
        _opened(console, found)
    else:
        _not_opened(console, found)


def _files(console: Console, files: list[dict[str, Any]]) -> None:
    for file in files:
        if not file["made"]:
            console.print(plain(f"  {_MARKS[file['status']]:<8} {file['path']}  +{file['added']} -{file['deleted']}"))
    made = [file for file in files if file["made"]]
    if made:
        added, deleted = (sum(file[name] for file in made) for name in ("added", "deleted"))
        console.print(plain(f"  and {many(len(made), 'file')} by the factory  +{added} -{deleted}", "dim"))


def _opened(console: Console, found: dict[str, Any]) -> None:
    number, verdict = found["number"], found["verdict"]
    console.print(plain(f"Change #{number} {_NEWS[found['news']]}: {found['title']}"))
    console.print(
        plain(
            f"  evidence: change #{number} is {found['state']} ({found['branch']}), verdict: {verdict['outcome']}",
            "dim",
        )
    )
    _waits(console, verdict)
    if found["alike"]:
        others = ", ".join(f"#{other}" for other in found["alike"])
        console.print(
            plain(
                f"  touches the same files as your open {others}: --change N instead makes it a new version of that one",
                "yellow",
            )
        )
    console.print(Text("Next: ", style="bold"), plain(found["next"]), sep="")


def _not_opened(console: Console, found: dict[str, Any]) -> None:
    for line in found["diff"].splitlines():
        console.print(plain(line, _SIGNS.get(line[:1], "")))
    console.print(plain(f"The gate would say: {found['verdict']['outcome']}"))
    _waits(console, found["verdict"])
    if found.get("written") is None:
        console.print("Nothing was proposed.")
        return
    console.print(plain(f"Nothing was proposed. The change is in {found['written']}, as git am takes it."))
    if elsewhere := found["elsewhere"]:
        console.print(plain("Next, as yourself on GitHub:"))
        for line in (
            f"git clone {elsewhere['clone']} ../company && git -C ../company switch -c {found['branch']}",
            f"git -C ../company am {found['written']} && git -C ../company push origin HEAD",
            f"and open {elsewhere['open']}",
        ):
            console.print(plain(f"  {line}"))


def _waits(console: Console, verdict: dict[str, Any]) -> None:
    for child in verdict["children"]:
        if child["outcome"] != "allow":
            console.print(plain(f"  {child['outcome']} {child['rule']}: {child['reason']}"))
