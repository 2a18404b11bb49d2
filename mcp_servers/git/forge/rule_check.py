"""A visit, held to the repository's rulesets."""

from __future__ import annotations

from mcp_servers.git.forge.errors import rule_violated
from mcp_servers.git.forge.rulesets import Action, Ruleset, of_row, push_violations
from mcp_servers.git.forge.site import Visit
from mcp_servers.git.forge.store import ruleset_rows


def rulesets_of(visit: Visit) -> list[Ruleset]:
    with visit.site.store.read() as connection:
        return [of_row(row) for row in ruleset_rows(connection, visit.repo)]


def hold(visit: Visit, status: int, ref: str, *actions: Action) -> None:
    """Refuse with this HTTP status what a ruleset does not let the visitor do to the ref."""
    if broken := push_violations(rulesets_of(visit), visit.identity, ref, actions):
        raise rule_violated(status, *broken)
