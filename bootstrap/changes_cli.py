"""Changes to the company: `./elf changes`, `show`, `approve`, `reject`, `override`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from bootstrap import show as pages
from bootstrap import terminal

changes_app = typer.Typer()


@changes_app.command()
def changes(
    everything: Annotated[bool, typer.Option("--all", help="Ended changes too.")] = False,
    as_json: terminal.Json = False,
) -> None:
    """Changes to the company: pull requests with their verdicts."""
    terminal.show(terminal.company().get("/changes", state="all" if everything else "open"), as_json, pages.changes)


@changes_app.command()
def show(number: int, as_json: terminal.Json = False) -> None:
    """One change: what it does, and the verdict with its reasons."""
    terminal.show(terminal.company().get(f"/changes/{number}"), as_json, pages.change)


@changes_app.command()
def approve(
    number: int,
    head: Annotated[
        str, typer.Option(help="The commit you looked at, or its first digits; refused if another one is there by now.")
    ] = "",
    why: Annotated[str, typer.Option(help="A reason, where the law wants one.")] = "",
    as_json: terminal.Json = False,
) -> None:
    """Approve a change. It is merged if the law then allows it. Exits 1 if more than waiting is left to do."""
    found = terminal.company().post(f"/changes/{number}/approve", {"head": head, "why": why})
    terminal.show(found, as_json, pages.decided)
    sys.exit(_status(found))


@changes_app.command()
def reject(
    number: int,
    why: Annotated[str, typer.Option(help="What is wrong with it; the record and the DevOps team keep it.")],
    as_json: terminal.Json = False,
) -> None:
    """Close a change, with the reason."""
    terminal.show(
        terminal.company().post(f"/changes/{number}/reject", {"why": terminal.whole(why)}), as_json, pages.decided
    )


@changes_app.command()
def override(
    number: int,
    why: Annotated[str, typer.Option(help="The reason; the ledger keeps it.")],
    hours: Annotated[
        float | None, typer.Option(min=0.01, help="How long it lasts; as long as the law allows, if not given.")
    ] = None,
    head: Annotated[
        str, typer.Option(help="The commit you looked at, or its first digits; refused if another one is there by now.")
    ] = "",
    as_json: terminal.Json = False,
) -> None:
    """Lift what the law lets you lift of a change, for one commit and a while, with a reason. Never a refusal."""
    found = terminal.company().post(
        f"/changes/{number}/override", {"head": head, "why": terminal.whole(why), "hours": hours}
    )
    terminal.show(found, as_json, pages.decided)
    sys.exit(_status(found))


def _status(found: dict[str, Any]) -> int:
    """0 where it is merged, or will be without anybody doing anything more."""
    return 0 if found["merged"] or found["by_itself"] else 1
