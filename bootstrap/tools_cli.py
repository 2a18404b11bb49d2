"""`./elf gateway` and `./elf factory`: tool servers, and what turns specs into files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootstrap import show as pages
from bootstrap import terminal

gateway_app = typer.Typer(no_args_is_help=True, help="The one door: tool servers behind it.")
factory_app = typer.Typer(no_args_is_help=True, help="What turns specs into files.")


@gateway_app.command("servers")
def gateway_servers(as_json: terminal.Json = False) -> None:
    """Which tool servers were found where, whether main admits them, and how they are."""
    terminal.show(terminal.company().get("/gateway/servers"), as_json, pages.servers)


@gateway_app.command("admit")
def gateway_admit(
    server: Annotated[str, typer.Argument(help="A tool server with tools in quarantine.")],
    tool: Annotated[
        list[str] | None, typer.Option("--tool", help="Also this one, which main never admitted. May be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference; propose nothing.")] = False,
    as_json: terminal.Json = False,
) -> None:
    """Show what changed in the definitions of a server's tools, and propose to admit them as they are now."""
    from bootstrap import show_admission
    from bootstrap.admitting import admit

    found = admit(terminal.company(), terminal.part(server), tool or [], dry_run=dry_run)
    terminal.show(found, as_json, show_admission.page)


@gateway_app.command("export")
def gateway_export(
    agentgateway: Annotated[bool, typer.Option("--agentgateway", help="As the agentgateway project's resources.")],
    as_json: terminal.Json = False,
) -> None:
    """Print the equivalent configuration for a cluster's gateway: servers, grants, limits. No secret is in it."""
    from bootstrap.export_gateway import export

    _ = agentgateway
    terminal.show(export(terminal.settings()), as_json, pages.exported)


@factory_app.command("render")
def factory_render(
    spec: Annotated[Path, typer.Argument(help="A team.yaml.")],
    to: Annotated[Path, typer.Option("--out", help="A new or empty folder.")],
    as_json: terminal.Json = False,
) -> None:
    """Render a team spec into a team folder."""
    from bootstrap.render import render_spec

    terminal.show(render_spec(spec, to), as_json, pages.rendered)


@factory_app.command("reports")
def factory_reports(
    checkout: Annotated[Path, typer.Argument(help="The root of a checkout of the company's repository.")],
    as_json: terminal.Json = False,
) -> None:
    """Write reports/ anew from all teams' specs: what parents know of the teams below them. After a change by hand."""
    from bootstrap.reports import write_reports

    terminal.show(write_reports(checkout), as_json, pages.reports)
