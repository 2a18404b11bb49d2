"""Changes to the company: `./elf changes`, `show`, `propose`, `main`, `approve`, `reject`, `override`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bootstrap import show as pages
from bootstrap import terminal
from bootstrap.client import CompanyError

changes_app = typer.Typer()

Head = Annotated[
    str,
    typer.Option(
        help="The commit you looked at, or its first digits; the one that you were last shown, if not given. "
        "Refused if another one is there by now."
    ),
]


@changes_app.command()
def changes(
    everything: Annotated[bool, typer.Option("--all", help="Ended changes too.")] = False,
    as_json: terminal.Json = False,
) -> None:
    """Changes to the company: pull requests with their verdicts."""
    found = terminal.company().get("/changes", state="all" if everything else "open")
    terminal.show(found, as_json, pages.changes)
    terminal.saw(found["changes"])


@changes_app.command()
def show(number: int, as_json: terminal.Json = False) -> None:
    """One change: what it does, and the verdict with its reasons."""
    found = terminal.company().get(f"/changes/{number}")
    terminal.show(found, as_json, pages.change)
    terminal.saw([found])


@changes_app.command()
def propose(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files and folders of a checkout, or a team.yaml or server.yaml from anywhere.", metavar="[PATH]..."
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="What the change does, in a line.")] = "",
    why: Annotated[str, typer.Option(help="Why, for whoever decides.")] = "",
    retire: Annotated[str, typer.Option(metavar="TEAM", help="Take this team out of the company.")] = "",
    change: Annotated[int | None, typer.Option(metavar="N", help="A new version of your open change N.")] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Your files in place of main's, not only what you changed in them.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show it, and what the gate would say; propose nothing.")
    ] = False,
    patch: Annotated[Path | None, typer.Option(help="Write it to this file, for git am; propose nothing.")] = None,
    as_json: terminal.Json = False,
) -> None:
    """Propose what you changed as a pull request of your own: law, a team, a tool server, anything."""
    from bootstrap.proposing import Wish, propose_files
    from bootstrap.show_proposal import page

    wish = Wish(tuple(paths or ()), terminal.whole(title), terminal.whole(why), terminal.whole(retire), change, whole)
    found = propose_files(terminal.company(), wish, dry_run=dry_run, patch=patch)
    terminal.show(found, as_json, page)
    if found["opened"]:
        terminal.saw([found])


@changes_app.command("main")
def main_(
    path: Annotated[str, typer.Argument(help="A file, to print it; or a folder. All files, if not given.")] = "",
    as_json: terminal.Json = False,
) -> None:
    """Print a file as it stands in the company's main, to begin a change from; or list what is there."""
    from bootstrap.proposing import main_file, main_files

    company = terminal.company()
    listed = main_files(company, terminal.whole(path))
    if path and not listed:
        sys.stdout.buffer.write(main_file(company, path))
    else:
        terminal.show(listed, as_json, pages.paths)


@changes_app.command()
def approve(
    number: int,
    head: Head = "",
    why: Annotated[str, typer.Option(help="A reason, where the law wants one.")] = "",
    as_json: terminal.Json = False,
) -> None:
    """Approve a change. It is merged if the law then allows it. Exits 1 if more than waiting is left to do."""
    found = terminal.company().post(f"/changes/{number}/approve", {"head": _looked_at(number, head), "why": why})
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
    head: Head = "",
    as_json: terminal.Json = False,
) -> None:
    """Lift what the law lets you lift of a change, for one commit and a while, with a reason. Never a refusal."""
    found = terminal.company().post(
        f"/changes/{number}/override",
        {"head": _looked_at(number, head), "why": terminal.whole(why), "hours": hours},
    )
    terminal.show(found, as_json, pages.decided)
    sys.exit(_status(found))


def _looked_at(number: int, head: str) -> str:
    """The commit that is decided on: the one named, else the one last shown here. Nobody says yes to what they did not see."""
    if found := head or terminal.last_seen(number):
        return found
    raise CompanyError(
        f"change {number} was not shown here yet: ./elf show {number}, then decide; or name the commit with --head"
    )


def _status(found: dict[str, Any]) -> int:
    """0 where it is merged, or will be without anybody doing anything more."""
    return 0 if found["merged"] or found["by_itself"] else 1
