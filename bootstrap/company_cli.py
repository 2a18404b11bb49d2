"""Starting, stopping and looking at the company: `./elf up`, `down`, `status`, `teams`, `costs`, `health`, `metrics`."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Annotated

import typer

from bootstrap import show as pages
from bootstrap import terminal
from bootstrap.home import Home

company_app = typer.Typer()

Detach = Annotated[bool, typer.Option("--detach", "-d", help="Return once it serves; ./elf down ends it.")]


@company_app.command()
def up(detach: Detach = False) -> None:
    """Start the company: set up what is missing, bring up its teams, serve."""
    from bootstrap.launch import launch

    sys.exit(launch(terminal.settings(), detach=detach, console=terminal.err))


@company_app.command()
def down() -> None:
    """Stop the company. Nothing is lost; ./elf up goes on where it was."""
    home = Home(terminal.settings().home)
    kernel = home.kernel()
    if kernel is None:
        if home.is_claimed:
            terminal.stop("the company is still starting; wait until it serves, then stop it", 1)
        terminal.err.print("No company runs here.")
        return
    os.kill(kernel["pid"], signal.SIGTERM)
    deadline = time.monotonic() + 20
    while home.is_claimed and time.monotonic() < deadline:
        time.sleep(0.05)
    if home.is_claimed:
        terminal.stop(f"it does not stop; end process {kernel['pid']} by hand", 1)
    terminal.err.print("Stopped.")


@company_app.command()
def status(as_json: terminal.Json = False) -> None:
    """Every team: how it is, how long it lives, what it spent today. From evidence."""
    terminal.show(terminal.company().get("/status"), as_json, pages.status)


@company_app.command()
def teams(as_json: terminal.Json = False) -> None:
    """The company's teams, and who answers to whom."""
    terminal.show(terminal.company().get("/teams"), as_json, pages.teams)


@company_app.command()
def costs(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep the page up to date, until Ctrl-C.")] = False,
    as_json: terminal.Json = False,
) -> None:
    """What was spent, by whom and on which models; the trend, the month's forecast, who is near a limit, what could be saved."""
    from bootstrap import follow as going_on
    from bootstrap import show_costs

    company = terminal.company()
    if watch and not as_json:
        going_on.watch(terminal.out, lambda: company.get("/costs"), show_costs.page)
        return
    terminal.show(company.get("/costs"), as_json, show_costs.costs)


@company_app.command()
def health(as_json: terminal.Json = False) -> None:
    """The watched resources with their marks, and what people were told. Exits 1 when something is critical."""
    found = terminal.company().get("/health/report")
    terminal.show(found, as_json, pages.health)
    sys.exit(1 if found["level"] == "critical" else 0)


@company_app.command()
def metrics(
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far back to look.")] = 30,
    as_json: terminal.Json = False,
) -> None:
    """What the company keeps of itself: from gap to pull request, what people changed or rejected, what held, how fast it heals."""
    from bootstrap import show_figures

    terminal.show(terminal.company().get("/metrics/company", days=days), as_json, show_figures.figures)
