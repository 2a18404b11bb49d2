"""What the gate knows of a change. Pure data: whoever reads the world writes it down here, and rules look nowhere else.

Times are UTC-aware. Money is whole micro-dollars (`usd_micro`; 1_000_000 is one dollar). A sha is 40 hex characters.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MICRO = 1_000_000
"""Micro-dollars in a dollar."""


class Frozen(BaseModel):
    """Immutable, and refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LawPart(Frozen):
    """A part of the law. What stands under a field is its description in the JSON Schema: what an editor shows to whoever edits."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Kind(StrEnum):
    """What a change is, by what it touches."""

    NEW_TEAM = "new_team"
    CHANGE_TEAM = "change_team"
    RETIRE_TEAM = "retire_team"
    ROLLBACK_TEAM = "rollback_team"
    NEW_SERVER = "new_server"
    CHANGE_SERVER = "change_server"
    LAW = "law"
    PLATFORM = "platform"
    MIXED = "mixed"


class ChangedFile(Frozen):
    """One path whose content or mode the merge would change. A rename is a removal and an addition."""

    path: str
    #: Git's six digits after the merge (`100644`); None if the file goes away.
    mode: str | None
    #: Bytes after the merge; 0 if the file goes away.
    size: int = 0


class HistoryFacts(Frozen):
    """The commits that the merge would bring into the target's history, whatever of them is left in the end."""

    commits: int
    #: What stood in one of them and neither stands in the target now nor would after the merge; mode None: a path it took away.
    passing: tuple[ChangedFile, ...] = ()
    #: Why they could not be looked through; None if they were.
    problem: str | None = None


class Finding(Frozen):
    """Something that was seen in a change by looking at it, without running any of it."""

    #: `own_secrets` are the company's, found by value; `secrets` are anybody's, found by shape.
    check: Literal["text", "own_secrets", "secrets", "code", "manifests"]
    #: A path, or which words of the pull request. Never holds a secret, and neither does `what`.
    where: str
    what: str


class CheckRun(Frozen):
    """What came of running the change's own code in a sandbox: linted, typed, imported, its tests run."""

    state: Literal["passed", "failed", "running", "not_executed"]
    #: What ran and in which sandbox, what failed, or why nothing ran.
    said: str


class SpecFacts(Frozen):
    """What the rules need of a team's `team.yaml`."""

    name: str
    folder: str
    framework: str
    members: int
    daily_budget_usd_micro: int
    #: The tools every member asks for: (member, is the manager, tool).
    tools: tuple[tuple[str, bool, str], ...] = ()


class TeamFacts(Frozen):
    """The one team folder a change touches, before and after the merge."""

    zone: str
    folder: str
    #: Git tree of the folder; None where it does not exist.
    tree_before: str | None
    tree_after: str | None
    spec_before: SpecFacts | None = None
    spec_after: SpecFacts | None = None
    #: Why `team.yaml` after the merge cannot be read or rendered; None if it can.
    problem: str | None = None
    #: Of the tools asked for, those that the catalogue has at the base.
    catalogue_tools: frozenset[str] = frozenset()
    #: How the folder after the merge differs from what the factory makes of its `team.yaml`.
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    #: Trees of this very folder that were deployed and found healthy.
    verified_trees: frozenset[str] = frozenset()
    #: Trees of this very folder that were deployed and found ill, and still are what main wants (an open incident).
    ill_trees: frozenset[str] = frozenset()
    #: Other folders of the company that have the same name: (zone, folder).
    namesakes: tuple[tuple[str, str], ...] = ()
    #: What the team would cost in a month; None if nobody can say.
    forecast_usd_micro_month: int | None = None

    @property
    def path(self) -> str:
        return f"{self.zone}/{self.folder}"


class ServerFacts(Frozen):
    """The one tool server's folder in the catalogue that a change touches, before and after the merge."""

    folder: str
    #: Git tree of the folder; None where it does not exist.
    tree_before: str | None
    tree_after: str | None
    #: What `server.yaml` after the merge says; None where it cannot be read.
    name: str | None = None
    kind: str | None = None
    #: Hosts it reaches, secrets it is given, tools it has: what a reviewer has to look at.
    hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    #: What a server of kind stdio runs.
    command: tuple[str, ...] = ()
    #: Hosts that are written as addresses nobody may reach: `10.0.0.1 is private or reserved`.
    forbidden_hosts: tuple[str, ...] = ()
    #: Why `server.yaml` after the merge cannot be read or rendered; None if it can.
    problem: str | None = None
    #: How the folder after the merge differs from what the factory makes of its `server.yaml`.
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    different: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return f"mcp_servers/catalog/{self.folder}"


class ReportsFacts(Frozen):
    """How `reports/` after the merge differs from what follows from the specs of all teams then. Paths from the repository's root."""

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    #: Why nobody can say; None if it can be said.
    problem: str | None = None


class Review(Frozen):
    """What somebody said of one commit of the change."""

    #: Login at the forge.
    who: str
    state: Literal["approved", "changes_requested", "commented", "dismissed"]
    #: The commit the review is of.
    commit: str
    at: datetime
    body: str = ""


class Slot(Frozen):
    """A place among the changes that a window has room for."""

    #: The change it belongs to; None while its pull request is not open yet.
    number: int | None
    state: Literal["reserved", "consumed"]
    #: When it was reserved or, once merged, consumed.
    at: datetime
    kind: Kind = Kind.NEW_TEAM
    #: Who asked for that change; None where nobody wrote it down.
    requester: str | None = None


class Override(Frozen):
    """A person's word, given in the office and written in the ledger, that some rules need not hold for one commit."""

    #: The person's login.
    who: str
    #: The commit it is of.
    head: str
    #: The rules that stood in the way then, and that it is meant for.
    rules: tuple[str, ...]
    reason: str
    at: datetime
    until: datetime
    #: The ledger's row that holds it.
    seq: int


class LawFacts(Frozen):
    """The policy files as the merge would leave them, for a change that touches them."""

    #: Git tree of policies/ after the merge; None if it goes away.
    tree: str | None = None
    #: Why they cannot be read; None if they can.
    problem: str | None = None
    #: Why they may not bind, though they can be read: nobody could change them again. None if they may.
    locked: str | None = None
    #: Why those of its people of whom the company knows could not change it by themselves; None if they could.
    unproven: str | None = None


class Facts(Frozen):
    """A change, at one moment. A verdict on it holds for exactly (`head`, `base`, `policy_tree`)."""

    number: int
    state: Literal["open", "closed", "merged"]
    draft: bool = False
    #: The branch it comes from and the one it goes to.
    branch: str
    target: str
    #: Login of the pull request's author.
    author: str
    #: Who had it opened: `team/member` or `person:<login>`; the author, where no intent is recorded.
    requester: str
    #: What the requester asked for; None where no intent is recorded. What stands on the branch may be something else.
    asked_for: Kind | None = None
    #: Whose wish it serves, if anybody's. May approve.
    on_behalf_of: str | None = None
    head: str
    base: str
    #: What the repository says of the same two refs; another value means that a branch moved while it was read.
    head_in_repository: str
    base_in_repository: str
    policy_tree: str
    #: Paths that conflict with the target; None if the two merge cleanly.
    conflicts: tuple[str, ...] | None = None
    files: tuple[ChangedFile, ...] = Field(default=())
    #: Paths that it adds beside others which are the same but for upper and lower case: (added, other).
    twins: tuple[tuple[str, str], ...] = ()
    #: None where there is no commit yet.
    history: HistoryFacts | None = None
    team: TeamFacts | None = None
    server: ServerFacts | None = None
    #: None where the change touches no team and no report.
    reports: ReportsFacts | None = None
    #: What was seen in its files and words; None if nobody looked.
    findings: tuple[Finding, ...] | None = None
    #: None if its code was never meant to be run (see `kinds.is_run`), or nobody asked.
    check_run: CheckRun | None = None
    reviews: tuple[Review, ...] = ()
    #: Changes of counted kinds reserved or merged, other changes' and this one's. The seed's are not in it.
    slots: tuple[Slot, ...] = ()
    overrides: tuple[Override, ...] = ()
    #: Of a change that touches policies/; None for every other one.
    law: LawFacts | None = None
    #: When somebody last did something to it (opened, pushed, reviewed, overrode); None if nobody can say.
    moved_at: datetime | None = None
    #: Open changes of the same requester that are older than this one.
    open_before: int = 0
    read_at: datetime
