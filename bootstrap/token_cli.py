"""`./elf token`: tokens for the clients that a person talks to the company with."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console

from bootstrap.client import Company
from bootstrap.home import Home
from bootstrap.settings import read_settings
from bootstrap.show import plain

token_app = typer.Typer(
    no_args_is_help=True, help="Tokens for your own chat and MCP clients: they talk with the CEO and read, no more."
)
# Soft wrap: what is copied is whole.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 300)
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


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
    found = _company().post("/tokens", {"label": label, "days": days})
    if as_json:
        _print_json(found)
    elif export:
        sys.stdout.write(f"export OPENAI_BASE_URL={found['openai']['base_url']}\n")
        sys.stdout.write(f"export OPENAI_API_KEY={found['openai']['api_key']}\n")
    else:
        _made(found)


@token_app.command("list")
def listed(as_json: Json = False) -> None:
    """The tokens that were made, and which of them live. None can be shown again."""
    found = _company().get("/tokens")
    if as_json:
        _print_json(found)
        return
    for one in found["tokens"]:
        out.print(plain(f"{one['id']}  {one['state']:8} until {one['ends_at'][:16]}Z  {one['label']}"))
    if not found["tokens"]:
        out.print("None was made. ./elf token new NAME makes one.")


@token_app.command()
def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As in ./elf token list.")], as_json: Json = False
) -> None:
    """End a token at once."""
    found = _company().post(f"/tokens/{quote(id_, safe='')}/revoke")
    if as_json:
        _print_json(found)
    else:
        out.print(plain(f"Revoked: {found['id']} ({found['label']})."))


def _company() -> Company:
    return Company(Home(read_settings(os.environ).home))


def _print_json(found: Any) -> None:
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def _made(found: dict[str, Any]) -> None:
    openai = found["openai"]
    out.print(plain(f"Token {found['id']} for '{found['label']}', until {found['ends_at'][:16]}Z."))
    out.print("It talks with the CEO and reads; it cannot approve. It is shown this once:\n")
    out.print(f"A client of OpenAI's API, with the model {openai['model']}:\n")
    out.print(plain(f"OPENAI_BASE_URL={openai['base_url']} OPENAI_API_KEY={openai['api_key']}"))
    out.print("\nAn MCP client (streamable HTTP), in its configuration:\n")
    out.print(plain(json.dumps(found["mcp"], indent=2)))
    out.print(plain(f"\nTo end it: ./elf token revoke {found['id']}"))
