"""Trust, but look: `./elf audit`, `fixpoint`, `doctor`, and the company that plays or is measured, `demo` and `bench`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bootstrap import show as pages
from bootstrap import terminal

proof_app = typer.Typer()
audit_app = typer.Typer(no_args_is_help=True, help="The tamper-evident record of every act.")


@proof_app.command()
def fixpoint(as_json: terminal.Json = False) -> None:
    """Render the executive and the DevOps team anew from their specs and compare: the same bytes, or what differs."""
    from bootstrap.fixpoint import check_fixpoint

    found = check_fixpoint(terminal.settings().checkout)
    terminal.show(found, as_json, pages.fixpoint)
    sys.exit(0 if found["ok"] else 1)


@proof_app.command()
def doctor(as_json: terminal.Json = False) -> None:
    """Look for what is wrong on this machine and in this company, with the fix for each finding."""
    from bootstrap.doctor import examine

    found = examine(terminal.settings())
    terminal.show(found, as_json, pages.doctor)
    sys.exit(0 if found["ok"] else 1)


@proof_app.command()
def demo(
    as_json: terminal.Json = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the home and the company running, to look around.")
    ] = False,
) -> None:
    """Play the whole story in a throw-away home: ask, team, verdict, approval, live, fault, healed, audit."""
    from bootstrap.demo.story import play

    sys.exit(play(terminal.settings(), as_json=as_json, keep=keep, console=terminal.out))


@proof_app.command()
def bench(as_json: terminal.Json = False, teams: Annotated[int, typer.Option(min=1, max=40)] = 20) -> None:
    """Measure what the README promises, in a throw-away home."""
    from bootstrap.bench import measure

    sys.exit(measure(terminal.settings(), teams=teams, as_json=as_json, console=terminal.out))


@audit_app.command("verify")
def audit_verify(as_json: terminal.Json = False) -> None:
    """Recompute the chain of every recorded act and compare it with the heads anchored in Git."""
    found = terminal.company().get("/audit/verify")
    terminal.show(found, as_json, pages.audit)
    sys.exit(0 if found["ok"] else 1)


@audit_app.command("list")
def audit_list(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=1000)] = 40, as_json: terminal.Json = False
) -> None:
    """The latest recorded acts."""
    terminal.show(terminal.company().get("/audit", lines=lines), as_json, pages.audit_rows)
