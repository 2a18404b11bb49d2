"""`./elf policy`: the law, that is, files that people edit."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bootstrap import show as pages
from bootstrap import terminal
from bootstrap.home import Home

policy_app = typer.Typer(no_args_is_help=True, help="The law: files that people edit.")


@policy_app.command("check")
def policy_check(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="A folder of policy files, or a checkout; the company's main, if not given.", metavar="[DIR]"
        ),
    ] = None,
    as_json: terminal.Json = False,
) -> None:
    """Check the law in force, or policy files before you propose them: are they well-formed, and what do they say?"""
    from bootstrap.policy import check_policies

    settings = terminal.settings()
    found = check_policies(folder, settings.checkout, Home(settings.home))
    terminal.show(found, as_json, pages.policy)
    sys.exit(0 if found["ok"] else 1)


@policy_app.command("explain")
def policy_explain(number: int, as_json: terminal.Json = False) -> None:
    """Why a change may or may not pass: the verdict, reason by reason."""
    terminal.show(terminal.company().get(f"/changes/{number}"), as_json, pages.verdict)


@policy_app.command("what-if")
def policy_what_if(
    number: int,
    approved_by: Annotated[list[str] | None, typer.Option(help="Suppose this person approved it; repeatable.")] = None,
    words: Annotated[str, typer.Option(help="What the supposed approvals say.")] = "",
    without: Annotated[list[str] | None, typer.Option(help="Suppose this person had said nothing; repeatable.")] = None,
    override_by: Annotated[str | None, typer.Option("--override", help="Suppose this person overrode it.")] = None,
    at: Annotated[str, typer.Option(help="Suppose it is this moment, such as 2026-12-01T08:00:00Z.")] = "",
    as_json: terminal.Json = False,
) -> None:
    """What the gate would say of a change if …; nothing is written."""
    body = {"approved_by": approved_by or [], "words": words, "without": without or [], "override_by": override_by}
    found = terminal.company().post(f"/changes/{number}/what-if", body | ({"at": terminal.moment(at)} if at else {}))
    terminal.show(found, as_json, pages.what_if)


@policy_app.command("simulate")
def policy_simulate(
    policy: Annotated[Path, typer.Option(help="The folder of policy files to try in the place of main's.")],
    since: Annotated[str, typer.Option(help="Only decisions since this day or moment, such as 2026-11-01.")] = "",
    as_json: terminal.Json = False,
) -> None:
    """Which past decisions would have turned out otherwise under other policy files."""
    from bootstrap.policy import policy_texts

    body: dict[str, Any] = {"files": policy_texts(policy)}
    found = terminal.company().post("/policy/simulate", body | ({"since": terminal.moment(since)} if since else {}))
    terminal.show(found, as_json, pages.replay)


@policy_app.command("schemas")
def policy_schemas(as_json: terminal.Json = False) -> None:
    """Write the JSON Schemas of the policy files anew (policies/schemas), for editors that complete and check."""
    from bootstrap.policy import write_schemas

    terminal.show(write_schemas(terminal.settings().checkout / "policies"), as_json, pages.policy)


@policy_app.command("judge")
def policy_judge(
    base: Annotated[str, typer.Option(help="The commit it would be merged into; the law is read there.")],
    head: Annotated[str, typer.Option(help="The commit that would be merged.")],
    repository: Annotated[Path | None, typer.Option(help="A clone that has both; this checkout, if not given.")] = None,
    author: Annotated[str, typer.Option(help="Who opened it; nobody known is an agent.")] = "",
    as_json: terminal.Json = False,
) -> None:
    """What the gate's content rules say of a commit in a clone: no reviews, no running company, nothing is executed."""
    from bootstrap.policy_judge import judge_commits

    found = judge_commits(repository or terminal.settings().checkout, base, head, author, datetime.now(UTC))
    terminal.show(found, as_json, pages.judged)
    sys.exit(0 if found["ok"] else 1)
