"""`./elf`: the command line, put together. Each command is thin: it asks the office, prints what it answers, and exits 1 when told no."""

from __future__ import annotations

import typer

from bootstrap import terminal
from bootstrap.changes_cli import changes_app
from bootstrap.client import CompanyError
from bootstrap.company_cli import company_app
from bootstrap.github_cli import github_app
from bootstrap.home import HomeUnusable
from bootstrap.policy_cli import policy_app
from bootstrap.proof_cli import audit_app, proof_app
from bootstrap.settings import BadSettings
from bootstrap.talk_cli import talk_app
from bootstrap.token_cli import token_app
from bootstrap.tools_cli import factory_app, gateway_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="A company of AI teams that builds itself.",
    epilog="./elf test runs every check; ./elf lock resolves the dependencies anew.",
    rich_markup_mode=None,
)
# Those without a name put their commands beside the others: in this order they are listed.
for commands in (company_app, talk_app, changes_app, proof_app):
    app.add_typer(commands)
app.add_typer(audit_app, name="audit")
app.add_typer(gateway_app, name="gateway")
app.add_typer(factory_app, name="factory")
app.add_typer(policy_app, name="policy")
app.add_typer(github_app, name="github")
app.add_typer(token_app, name="token")


def main() -> None:
    """Runs a command; every expected failure ends in one sentence and exit status 1 or 2."""
    try:
        app(prog_name="elf")
    except (BadSettings, HomeUnusable) as error:
        terminal.stop(str(error), 2)
    except CompanyError as error:
        terminal.stop(str(error), 1)
    except KeyboardInterrupt:
        terminal.stop("stopped", 130)


if __name__ == "__main__":
    main()
