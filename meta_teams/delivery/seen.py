"""What the tools behind the gateway answered, as far as this team uses it. Unknown fields are passed over."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field


class Seen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TeamRow(Seen):
    """A living team, from registry__query_teams."""

    name: str
    purpose: str = ""
    department: str = ""
    placement: str = ""
    skills: tuple[str, ...] = ()


class ChangeRow(Seen):
    """A change, from git__get_change and git__list_changes. `progress` says how far a merged one has come."""

    number: int
    state: Literal["open", "merged", "closed"]
    progress: str = ""
    kind: str | None = None
    team: str | None = None
    server: str | None = None
    title: str = ""
    rolled_back_by: int | None = None
    #: What the person said who closed it.
    rejected_because: str | None = None
    verdict: dict[str, Any] | None = None


class PastOutcome(Seen):
    """What became of an earlier proposal, from git__past_outcomes."""

    pattern: str
    outcome: str
    #: What the person said who rejected it.
    why: str | None = None
    changes_asked: bool = False


class Ending(Seen):
    """How one of a team's processes ended."""

    ended_as: str | None = Field(default=None, validation_alias=AliasChoices("as", "ended_as"))
    reason: str | None = None


class TeamStatus(Seen):
    """How a team is, from cluster__team_status. `verified` are the trees that were once found healthy."""

    team: str
    state: str
    reason: str | None = None
    #: What main wants, and what answers requests now.
    tree: str | None = Field(default=None, validation_alias=AliasChoices("wanted_tree", "tree"))
    serving_tree: str | None = None
    verified: tuple[str, ...] = Field(default=(), validation_alias=AliasChoices("verified_trees", "verified"))
    endings: tuple[Ending, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether what main wants is what serves, in health."""
        return self.state == "active" and self.serving_tree == self.tree


class ToolRow(Seen):
    """A tool that is served, as it is called: `weather__current`."""

    tool: str
    does: str = ""


class ServerRow(Seen):
    """A tool server of the catalogue, from gateway__list_servers: from evidence, not from what was proposed."""

    server: str
    kind: str = ""
    purpose: str = ""
    healthy: bool = False
    problem: str | None = None
    tools: tuple[ToolRow, ...] = ()
    quarantined: tuple[str, ...] = ()
    missing_secrets: tuple[str, ...] = ()


class ForeignTool(Seen):
    """A tool that a server elsewhere says it has. With a `problem` it cannot be admitted."""

    name: str
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    problem: str | None = None


class Looked(Seen):
    """From gateway__look_at_server. The definitions are a stranger's words."""

    url: str | None = None
    command: tuple[str, ...] = ()
    tools: tuple[ForeignTool, ...] = ()


class Form(Seen):
    """From factory__describe_server_spec: what may be chosen of an internal server, and what is checked."""

    schema_: dict[str, Any] = Field(validation_alias=AliasChoices("schema", "schema_"))
    rules: tuple[str, ...] = ()
    example: dict[str, Any] = Field(default_factory=dict[str, Any])


class Forecast(Seen):
    """From factory__forecast_team_cost. Decimal US dollars, as text."""

    usd_month: str
    basis: tuple[str, ...] = ()


class Log(Seen):
    """From cluster__team_log."""

    diagnostics: tuple[str, ...] = ()
    conversation: tuple[str, ...] = ()


def gist(verdict: dict[str, Any] | None) -> dict[str, Any] | None:
    """The verdict without its tree: who wants the reasons of every rule reads the change."""
    return None if verdict is None else {name: verdict[name] for name in ("outcome", "reason") if name in verdict}
