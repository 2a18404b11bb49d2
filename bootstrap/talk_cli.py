"""Talking: `./elf say`, `chat`, `ask`; and reading what was said: `log`, `messages`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from bootstrap import show as pages
from bootstrap import terminal
from bootstrap.client import CompanyError

talk_app = typer.Typer()


@talk_app.command()
def say(
    text: Annotated[str, typer.Argument(help="What you want, in your own words.")], as_json: terminal.Json = False
) -> None:
    """Tell the CEO something: a wish, a question, work."""
    found = terminal.company().post("/say", {"text": terminal.whole(text)})
    terminal.show(found, as_json, pages.said)
    terminal.saw(_changes(found))


@talk_app.command()
def chat() -> None:
    """Talk with the CEO until you close the input (Ctrl-D)."""
    company = terminal.company()
    terminal.err.print("The CEO listens. Ctrl-D ends the conversation.")
    while True:
        try:
            text = input("you> ")
        except EOFError:
            return
        if text.strip():
            try:
                found = company.post("/say", {"text": terminal.whole(text)})
                pages.said(terminal.out, found)
                terminal.saw(_changes(found))
            except CompanyError as error:
                terminal.err.print(str(error), style="red", markup=False)


@talk_app.command()
def ask(
    team: Annotated[str, typer.Argument(help="The team's name, as in ./elf teams.")],
    text: Annotated[str, typer.Argument(help="The work.")],
    as_json: terminal.Json = False,
) -> None:
    """Give a team work and wait for its answer."""
    terminal.show(
        terminal.company().post("/ask", {"team": team, "text": terminal.whole(text)}), as_json, pages.answered
    )


@talk_app.command()
def log(
    team: Annotated[str, typer.Argument(help="The team's name.")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=2000, help="How many lines at the most.")] = 60,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is said next, until Ctrl-C.")] = False,
    as_json: terminal.Json = False,
) -> None:
    """Read the conversation inside a team."""
    company, page = terminal.company(), f"/log/{terminal.part(team)}"
    if not follow:
        terminal.show(company.get(page, lines=lines), as_json, pages.log)
        return
    _go_on(lambda asked: company.get(page, lines=asked)["lines"], lines, "lines", pages.log, as_json=as_json)


@talk_app.command()
def messages(
    team: Annotated[str, typer.Option(help="Only those to and from this team.")] = "",
    correlation: Annotated[str, typer.Option(help="Only those of one piece of business.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=2000, help="How many at the most.")] = 40,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is sent and answered next, until Ctrl-C.")
    ] = False,
    as_json: terminal.Json = False,
) -> None:
    """Read the messages between teams, with what came back."""
    from bootstrap import follow as going_on

    wanted = {"team": terminal.whole(team), "correlation": terminal.whole(correlation)}
    query = {name: value for name, value in wanted.items() if value}
    company = terminal.company()
    if not follow:
        terminal.show(company.get("/messages", lines=lines, **query), as_json, pages.messages)
        return

    def fetch(since: str | None) -> list[dict[str, Any]]:
        moved = {"lines": 2000, "since": since} if since else {"lines": lines}
        return company.get("/messages", **moved, **query)["messages"]

    going_on.follow_moves(fetch, _shower("messages", pages.messages, as_json=as_json))


def _go_on(
    fetch: Callable[[int], list[Any]],
    first: int,
    name: str,
    page: Callable[[Console, Any], None],
    *,
    as_json: bool,
) -> None:
    """Prints the last lines, then new ones as they come; as JSON, one object a line."""
    from bootstrap import follow as going_on

    asked = iter([first])
    going_on.follow(lambda: fetch(next(asked, 2000)), _shower(name, page, as_json=as_json))


def _shower(name: str, page: Callable[[Console, Any], None], *, as_json: bool) -> Callable[[Sequence[Any]], None]:
    """Prints what is new on a page that goes on; as JSON, one object a line."""

    def show(fresh: Sequence[Any]) -> None:
        if as_json:
            sys.stdout.writelines(json.dumps(one) + "\n" for one in fresh)
            sys.stdout.flush()
        else:
            page(terminal.out, {name: fresh})

    return show


def _changes(said: dict[str, Any]) -> list[dict[str, Any]]:
    """The changes that an answer's evidence is about."""
    found = [one for one in said["evidence"] if one["kind"] == "change"]
    return [{"number": one["change"], "head": one["head"]} for one in found]
