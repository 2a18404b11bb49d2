"""`./elf github`: a company kept at GitHub instead of the embedded forge."""

from __future__ import annotations

import getpass
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from bootstrap import terminal
from bootstrap.client import CompanyError
from bootstrap.home import Home
from bootstrap.show import plain

github_app = typer.Typer(no_args_is_help=True, help="The company's repository on GitHub.")
_STYLES = {"ok": "green", "note": "yellow", "wrong": "red"}
_MARKS = {"ok": "✓ ", "note": "! ", "wrong": "✗ "}


@github_app.command()
def connect(
    repo: Annotated[str, typer.Argument(help="OWNER/NAME: a new, empty repository, or this company's.")],
    person: Annotated[
        list[str] | None, typer.Option(help="A login that may approve; again for more. Your own, if not given.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    as_json: terminal.Json = False,
) -> None:
    """Keep the company at GitHub: check the two identities, set the repository up, push the company."""
    from bootstrap.github_connect import Asked, connect

    settings = terminal.settings()
    asked = Asked(settings, Home(settings.home), repo, tuple(person or ()), _ask, _now)
    found = connect(asked, dry_run=dry_run)
    terminal.show(found, as_json, _connected)
    sys.exit(0 if found["ok"] else 1)


@github_app.command()
def doctor(as_json: terminal.Json = False) -> None:
    """Find what somebody changed on GitHub since, with the fix for each finding. Exits 1 where something is wrong."""
    from bootstrap.github_doctor import examine

    settings = terminal.settings()
    found = examine(settings, Home(settings.home), _now)
    terminal.show(found, as_json, _examined)
    sys.exit(0 if found["ok"] else 1)


def _ask(what: str) -> str:
    """A secret, typed without being shown."""
    if not sys.stdin.isatty():
        raise CompanyError(f"{what} is wanted, and nobody can be asked; set the ELF_GITHUB_… variable (docs/github.md)")
    return getpass.getpass(f"{what}: ").strip()


def _now() -> datetime:
    return datetime.now(UTC)


def _connected(out: Console, found: dict[str, Any]) -> None:
    out.print(plain(f"{found['repo']}: {found['proposer']} proposes, {found['gate']} judges and merges, "
                    f"{', '.join(found['people'])} approves"))  # fmt: skip
    for problem in found["problems"]:
        out.print(Text("✗ ", style="red"), plain(problem), sep="")
    mark = Text("✓ ", style="green") if found["done"] else Text("· ")
    for action in found["actions"]:
        out.print(mark, plain(f"{action['do']} ({action['why']})"), sep="")
    for note in found["notes"]:
        out.print(Text("! ", style="yellow"), plain(note), sep="")
    said = "Nothing was done." if not found["done"] else "Connected. ./elf up starts the company there."
    out.print(said if found["actions"] or not found["done"] else f"Nothing was left to do. {said}")


def _examined(out: Console, found: dict[str, Any]) -> None:
    for one in found["findings"]:
        out.print(
            Text(_MARKS[one["level"]], style=_STYLES[one["level"]]), plain(f"{one['what']}: {one['text']}"), sep=""
        )
        if one["fix"]:
            out.print(plain(f"    {one['fix']}", style="dim"))
