"""`./elf token`: tokens for the clients that a person talks to the company with."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from bootstrap.show import plain
from bootstrap.terminal import Json, company, part, show

token_app = typer.Typer(
    no_args_is_help=True, help="Tokens for your own chat and MCP clients: they talk with the CEO and read, no more."
)


@token_app.command()
def new(
    label: Annotated[str, typer.Argument(help="What it is for, such as 'editor'.")],
    days: Annotated[int, typer.Option(min=1, max=365, help="How long it lasts.")] = 30,
    export: Annotated[
        bool, typer.Option("--export", help='Print lines for a shell alone: eval "$(./elf token new editor --export)".')
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a token and show it, once, with what a client's settings want to know. It cannot approve anything."""
    found = company().post("/tokens", {"label": label, "days": days})
    if export and not as_json:
        sys.stdout.write(f"export OPENAI_BASE_URL={found['openai']['base_url']}\n")
        sys.stdout.write(f"export OPENAI_API_KEY={found['openai']['api_key']}\n")
    else:
        show(found, as_json, _made)


@token_app.command("list")
def listed(as_json: Json = False) -> None:
    """The tokens that were made, and which of them live. None can be shown again."""
    show(company().get("/tokens"), as_json, _listed)


@token_app.command()
def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As in ./elf token list.")], as_json: Json = False
) -> None:
    """End a token at once."""
    show(company().post(f"/tokens/{part(id_)}/revoke"), as_json, _revoked)


def _made(out: Console, found: dict[str, Any]) -> None:
    openai = found["openai"]
    out.print(plain(f"Token {found['id']} for '{found['label']}', until {found['ends_at'][:16]}Z."))
    out.print("It talks with the CEO and reads; it cannot approve. It is shown this once:\n")
    out.print(f"A client of OpenAI's API, with the model {openai['model']}:\n")
    out.print(plain(f"OPENAI_BASE_URL={openai['base_url']} OPENAI_API_KEY={openai['api_key']}"))
    out.print("\nAn MCP client (streamable HTTP), in its configuration:\n")
    out.print(plain(json.dumps(found["mcp"], indent=2)))
    out.print(plain(f"\nTo end it: ./elf token revoke {found['id']}"))


def _listed(out: Console, found: dict[str, Any]) -> None:
    for one in found["tokens"]:
        out.print(plain(f"{one['id']}  {one['state']:8} until {one['ends_at'][:16]}Z  {one['label']}"))
    if not found["tokens"]:
        out.print("None was made. ./elf token new NAME makes one.")


def _revoked(out: Console, found: dict[str, Any]) -> None:
    out.print(plain(f"Revoked: {found['id']} ({found['label']})."))
