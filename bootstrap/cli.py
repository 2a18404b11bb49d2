"""`./elf`: the command line. Each command is thin: it asks the office, prints what it answers, and exits 1 when told no."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from bootstrap import show as pages
from bootstrap.client import Company, CompanyError
from bootstrap.github_cli import github_app
from bootstrap.home import Home, HomeUnusable
from bootstrap.settings import BadSettings, Settings, read_settings
from bootstrap.token_cli import token_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="A company of AI teams that builds itself.",
    epilog="./elf test runs every check; ./elf lock resolves the dependencies anew.",
    rich_markup_mode=None,
)
audit_app = typer.Typer(no_args_is_help=True, help="The tamper-evident record of every act.")
factory_app = typer.Typer(no_args_is_help=True, help="What turns specs into files.")
policy_app = typer.Typer(no_args_is_help=True, help="The law: files that people edit.")
gateway_app = typer.Typer(no_args_is_help=True, help="The one door: tool servers behind it.")
app.add_typer(audit_app, name="audit")
app.add_typer(gateway_app, name="gateway")
app.add_typer(factory_app, name="factory")
app.add_typer(policy_app, name="policy")
app.add_typer(github_app, name="github")
app.add_typer(token_app, name="token")

# Soft wrap: the terminal breaks lines, so that what is copied from it is whole.
# Into a pipe or a file, tables are as wide as what is in them.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 300)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Return once it serves; ./elf down ends it.")]


def main() -> None:
    """Runs a command; every expected failure ends in one sentence and exit status 1 or 2."""
    try:
        app(prog_name="elf")
    except (BadSettings, HomeUnusable) as error:
        _stop(str(error), 2)
    except CompanyError as error:
        _stop(str(error), 1)
    except KeyboardInterrupt:
        _stop("stopped", 130)


def _stop(sentence: str, status: int) -> NoReturn:
    err.print(sentence, style="red", markup=False)
    sys.exit(status)


def _settings() -> Settings:
    return read_settings(os.environ)


def _company() -> Company:
    return Company(Home(_settings().home))


def _print(found: Any, as_json: bool, page: Callable[[Console, Any], None]) -> None:
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, default=str) + "\n")
    else:
        page(out, found)


# --- the company's day ---


@app.command()
def up(detach: Detach = False) -> None:
    """Start the company: set up what is missing, bring up its teams, serve."""
    from bootstrap.launch import launch

    sys.exit(launch(_settings(), detach=detach, console=err))


@app.command()
def down() -> None:
    """Stop the company. Nothing is lost; ./elf up goes on where it was."""
    home = Home(_settings().home)
    kernel = home.kernel()
    if kernel is None:
        if home.is_claimed:
            _stop("the company is still starting; wait until it serves, then stop it", 1)
        err.print("No company runs here.")
        return
    os.kill(kernel["pid"], signal.SIGTERM)
    deadline = time.monotonic() + 20
    while home.is_claimed and time.monotonic() < deadline:
        time.sleep(0.05)
    if home.is_claimed:
        _stop(f"it does not stop; end process {kernel['pid']} by hand", 1)
    err.print("Stopped.")


@app.command()
def say(text: Annotated[str, typer.Argument(help="What you want, in your own words.")], as_json: Json = False) -> None:
    """Tell the CEO something: a wish, a question, work."""
    _print(_company().post("/say", {"text": _whole(text)}), as_json, pages.said)


@app.command()
def chat() -> None:
    """Talk with the CEO until you close the input (Ctrl-D)."""
    company = _company()
    err.print("The CEO listens. Ctrl-D ends the conversation.")
    while True:
        try:
            text = input("you> ")
        except EOFError:
            return
        if text.strip():
            try:
                pages.said(out, company.post("/say", {"text": _whole(text)}))
            except CompanyError as error:
                err.print(str(error), style="red", markup=False)


@app.command()
def ask(
    team: Annotated[str, typer.Argument(help="The team's name, as in ./elf teams.")],
    text: Annotated[str, typer.Argument(help="The work.")],
    as_json: Json = False,
) -> None:
    """Give a team work and wait for its answer."""
    _print(_company().post("/ask", {"team": team, "text": _whole(text)}), as_json, pages.answered)


@app.command()
def status(as_json: Json = False) -> None:
    """Every team: how it is, how long it lives, what it spent today. From evidence."""
    _print(_company().get("/status"), as_json, pages.status)


@app.command()
def teams(as_json: Json = False) -> None:
    """The company's teams, and who answers to whom."""
    _print(_company().get("/teams"), as_json, pages.teams)


@app.command()
def log(
    team: Annotated[str, typer.Argument(help="The team's name.")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=2000, help="How many lines at the most.")] = 60,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is said next, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Read the conversation inside a team."""
    company, page = _company(), f"/log/{_part(team)}"
    if not follow:
        _print(company.get(page, lines=lines), as_json, pages.log)
        return
    _go_on(lambda asked: company.get(page, lines=asked)["lines"], lines, "lines", pages.log, as_json=as_json)


@app.command()
def messages(
    team: Annotated[str, typer.Option(help="Only those to and from this team.")] = "",
    correlation: Annotated[str, typer.Option(help="Only those of one piece of business.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=2000, help="How many at the most.")] = 40,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is sent and answered next, until Ctrl-C.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read the messages between teams, with what came back."""
    from bootstrap import follow as going_on

    wanted = {"team": _whole(team), "correlation": _whole(correlation)}
    query = {name: value for name, value in wanted.items() if value}
    company = _company()
    if not follow:
        _print(company.get("/messages", lines=lines, **query), as_json, pages.messages)
        return

    def fetch(since: str | None) -> list[dict[str, Any]]:
        moved = {"lines": 2000, "since": since} if since else {"lines": lines}
        return company.get("/messages", **moved, **query)["messages"]

    going_on.follow_moves(fetch, _shower("messages", pages.messages, as_json=as_json))


@app.command()
def costs(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep the page up to date, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """What was spent, by whom and on which models; the trend, the month's forecast, who is near a limit, what could be saved."""
    from bootstrap import follow as going_on
    from bootstrap import show_costs

    company = _company()
    if watch and not as_json:
        going_on.watch(out, lambda: company.get("/costs"), show_costs.page)
        return
    _print(company.get("/costs"), as_json, show_costs.costs)


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
            page(out, {name: fresh})

    return show


@app.command()
def health(as_json: Json = False) -> None:
    """The watched resources with their marks, and what people were told. Exits 1 when something is critical."""
    found = _company().get("/health/report")
    _print(found, as_json, pages.health)
    sys.exit(1 if found["level"] == "critical" else 0)


@app.command()
def metrics(
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far back to look.")] = 30, as_json: Json = False
) -> None:
    """What the company keeps of itself: from gap to pull request, what people changed or rejected, what held, how fast it heals."""
    from bootstrap import show_figures

    _print(_company().get("/metrics/company", days=days), as_json, show_figures.figures)


# --- changes ---


@app.command()
def changes(
    everything: Annotated[bool, typer.Option("--all", help="Ended changes too.")] = False, as_json: Json = False
) -> None:
    """Changes to the company: pull requests with their verdicts."""
    _print(_company().get("/changes", state="all" if everything else "open"), as_json, pages.changes)


@app.command()
def show(number: int, as_json: Json = False) -> None:
    """One change: what it does, and the verdict with its reasons."""
    _print(_company().get(f"/changes/{number}"), as_json, pages.change)


@app.command()
def approve(
    number: int,
    head: Annotated[
        str, typer.Option(help="The commit you looked at, or its first digits; refused if another one is there by now.")
    ] = "",
    why: Annotated[str, typer.Option(help="A reason, where the law wants one.")] = "",
    as_json: Json = False,
) -> None:
    """Approve a change. It is merged if the law then allows it."""
    found = _company().post(f"/changes/{number}/approve", {"head": head, "why": why})
    _print(found, as_json, pages.decided)


@app.command()
def reject(
    number: int,
    why: Annotated[str, typer.Option(help="What is wrong with it; the record and the DevOps team keep it.")],
    as_json: Json = False,
) -> None:
    """Close a change, with the reason."""
    _print(_company().post(f"/changes/{number}/reject", {"why": _whole(why)}), as_json, pages.decided)


@app.command()
def override(
    number: int,
    why: Annotated[str, typer.Option(help="The reason; the ledger keeps it.")],
    hours: Annotated[
        float | None, typer.Option(min=0.01, help="How long it lasts; as long as the law allows, if not given.")
    ] = None,
    head: Annotated[
        str, typer.Option(help="The commit you looked at, or its first digits; refused if another one is there by now.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Lift what the law lets you lift of a change, for one commit and a while, with a reason. Never a refusal."""
    found = _company().post(f"/changes/{number}/override", {"head": head, "why": _whole(why), "hours": hours})
    _print(found, as_json, pages.decided)


# --- trust, but look ---


@audit_app.command("verify")
def audit_verify(as_json: Json = False) -> None:
    """Recompute the chain of every recorded act and compare it with the heads anchored in Git."""
    found = _company().get("/audit/verify")
    _print(found, as_json, pages.audit)
    sys.exit(0 if found["ok"] else 1)


@audit_app.command("list")
def audit_list(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=1000)] = 40, as_json: Json = False
) -> None:
    """The latest recorded acts."""
    _print(_company().get("/audit", lines=lines), as_json, pages.audit_rows)


@app.command()
def fixpoint(as_json: Json = False) -> None:
    """Render the executive and the DevOps team anew from their specs and compare: the same bytes, or what differs."""
    from bootstrap.fixpoint import check_fixpoint

    found = check_fixpoint(_settings().checkout)
    _print(found, as_json, pages.fixpoint)
    sys.exit(0 if found["ok"] else 1)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Look for what is wrong on this machine and in this company, with the fix for each finding."""
    from bootstrap.doctor import examine

    found = examine(_settings())
    _print(found, as_json, pages.doctor)
    sys.exit(0 if found["ok"] else 1)


@policy_app.command("check")
def policy_check(
    folder: Annotated[Path | None, typer.Option(help="The policies to check; this checkout's, if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Check policy files before you propose them: are they well-formed, and what do they say?"""
    from bootstrap.policy import check_policies

    found = check_policies(folder or _settings().checkout / "policies")
    _print(found, as_json, pages.policy)
    sys.exit(0 if found["ok"] else 1)


@policy_app.command("explain")
def policy_explain(number: int, as_json: Json = False) -> None:
    """Why a change may or may not pass: the verdict, reason by reason."""
    _print(_company().get(f"/changes/{number}"), as_json, pages.verdict)


@policy_app.command("what-if")
def policy_what_if(
    number: int,
    approved_by: Annotated[list[str] | None, typer.Option(help="Suppose this person approved it; repeatable.")] = None,
    words: Annotated[str, typer.Option(help="What the supposed approvals say.")] = "",
    without: Annotated[list[str] | None, typer.Option(help="Suppose this person had said nothing; repeatable.")] = None,
    override_by: Annotated[str | None, typer.Option("--override", help="Suppose this person overrode it.")] = None,
    at: Annotated[str, typer.Option(help="Suppose it is this moment, such as 2026-12-01T08:00:00Z.")] = "",
    as_json: Json = False,
) -> None:
    """What the gate would say of a change if …; nothing is written."""
    body = {"approved_by": approved_by or [], "words": words, "without": without or [], "override_by": override_by}
    found = _company().post(f"/changes/{number}/what-if", body | ({"at": _moment(at)} if at else {}))
    _print(found, as_json, pages.what_if)


@policy_app.command("simulate")
def policy_simulate(
    policy: Annotated[Path, typer.Option(help="The folder of policy files to try in the place of main's.")],
    since: Annotated[str, typer.Option(help="Only decisions since this day or moment, such as 2026-11-01.")] = "",
    as_json: Json = False,
) -> None:
    """Which past decisions would have turned out otherwise under other policy files."""
    from bootstrap.policy import policy_texts

    body: dict[str, Any] = {"files": policy_texts(policy)}
    found = _company().post("/policy/simulate", body | ({"since": _moment(since)} if since else {}))
    _print(found, as_json, pages.replay)


@policy_app.command("schemas")
def policy_schemas(as_json: Json = False) -> None:
    """Write the JSON Schemas of the policy files anew (policies/schemas), for editors that complete and check."""
    from bootstrap.policy import write_schemas

    _print(write_schemas(_settings().checkout / "policies"), as_json, pages.policy)


def _moment(text: str) -> str:
    """A day or a moment, in UTC unless it says otherwise."""
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        _stop(f"'{text[:40]}' is no moment; write 2026-11-01 or 2026-11-01T08:00:00Z", 2)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


@policy_app.command("judge")
def policy_judge(
    base: Annotated[str, typer.Option(help="The commit it would be merged into; the law is read there.")],
    head: Annotated[str, typer.Option(help="The commit that would be merged.")],
    repository: Annotated[Path | None, typer.Option(help="A clone that has both; this checkout, if not given.")] = None,
    author: Annotated[str, typer.Option(help="Who opened it; nobody known is an agent.")] = "",
    as_json: Json = False,
) -> None:
    """What the gate's content rules say of a commit in a clone: no reviews, no running company, nothing is executed."""
    from bootstrap.policy_judge import judge_commits

    found = judge_commits(repository or _settings().checkout, base, head, author, datetime.now(UTC))
    _print(found, as_json, pages.judged)
    sys.exit(0 if found["ok"] else 1)


@gateway_app.command("servers")
def gateway_servers(as_json: Json = False) -> None:
    """Which tool servers were found where, whether main admits them, and how they are."""
    _print(_company().get("/gateway/servers"), as_json, pages.servers)


@gateway_app.command("export")
def gateway_export(
    agentgateway: Annotated[bool, typer.Option("--agentgateway", help="As the agentgateway project's resources.")],
    as_json: Json = False,
) -> None:
    """Print the equivalent configuration for a cluster's gateway: servers, grants, limits. No secret is in it."""
    from bootstrap.export_gateway import export

    _ = agentgateway
    _print(export(_settings()), as_json, pages.exported)


@factory_app.command("render")
def factory_render(
    spec: Annotated[Path, typer.Argument(help="A team.yaml.")],
    to: Annotated[Path, typer.Option("--out", help="A new or empty folder.")],
    as_json: Json = False,
) -> None:
    """Render a team spec into a team folder."""
    from bootstrap.render import render_spec

    _print(render_spec(spec, to), as_json, pages.rendered)


@factory_app.command("reports")
def factory_reports(
    checkout: Annotated[Path, typer.Argument(help="The root of a checkout of the company's repository.")],
    as_json: Json = False,
) -> None:
    """Write reports/ anew from all teams' specs: what parents know of the teams below them. After a change by hand."""
    from bootstrap.reports import write_reports

    _print(write_reports(checkout), as_json, pages.reports)


@app.command()
def demo(
    as_json: Json = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the home and the company running, to look around.")
    ] = False,
) -> None:
    """Play the whole story in a throw-away home: ask, team, verdict, approval, live, fault, healed, audit."""
    from bootstrap.demo.story import play

    sys.exit(play(_settings(), as_json=as_json, keep=keep, console=out))


@app.command()
def bench(as_json: Json = False, teams: Annotated[int, typer.Option(min=1, max=40)] = 20) -> None:
    """Measure what the README promises, in a throw-away home."""
    from bootstrap.bench import measure

    sys.exit(measure(_settings(), teams=teams, as_json=as_json, console=out))


def _whole(text: str) -> str:
    """Text as typed; bytes that are no UTF-8 reached us as surrogates and are refused here, with a sentence."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CompanyError("the text is not valid UTF-8; check the terminal's encoding and type it again") from error
    return text


def _part(name: str) -> str:
    """A name as one part of a path."""
    from urllib.parse import quote

    return quote(_whole(name), safe="")


if __name__ == "__main__":
    main()
