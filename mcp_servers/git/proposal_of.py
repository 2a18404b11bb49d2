"""From an intent to the change it asks for: what the gate would see of it, and the files to push."""

from __future__ import annotations

from mcp_servers.git import facts as reading
from mcp_servers.git import proposal_page as page
from mcp_servers.git.changes import Proposal, Refused
from mcp_servers.git.chart_facts import BadTeams, reports_change
from mcp_servers.git.factory import Factory, Zone
from mcp_servers.git.repository import Repository
from mcp_servers.git.server_facts import catalogue_tools
from mcp_servers.git.server_proposals import server_proposal
from mcp_servers.git.unborn import UNBORN, Setting, unborn
from memory.changes import Intent
from policies.facts import Facts, Kind, TeamFacts
from teams.spec import TeamSpec

ZONE: Zone = "teams"


def preview(repository: Repository, factory: Factory, team: TeamSpec, wanted: Intent, setting: Setting) -> Facts:
    """The facts of a new team's change as they would be, before there is a commit. Writes nothing."""
    commit = setting.base.commit
    exists = repository.tree(commit, f"{ZONE}/{team.folder}") is not None
    others = reading.namesakes(repository.listing(commit), ZONE, team.folder)
    made = TeamFacts(
        zone=ZONE,
        folder=team.folder,
        tree_before=None,
        tree_after=UNBORN,
        spec_after=reading.spec_facts(team),
        catalogue_tools=catalogue_tools(repository, commit, (tool for member in team.members for tool in member.tools)),
        namesakes=(*(((ZONE, team.folder),) if exists else ()), *others),
        forecast_usd_micro_month=factory.forecast(team),
    )
    facts = unborn(wanted, setting, f"{ZONE}/{team.folder}", factory.render(team, ZONE))
    return facts.model_copy(update={"team": made})


def proposal_of(intent: Intent, repository: Repository, factory: Factory, target: str) -> Proposal:
    """The same bytes for the same intent, as long as the factory is the same. Raises `Refused`."""
    story = page.Story(intent.gap, intent.rationale, intent.requester, intent.on_behalf_of)
    if intent.kind == Kind.NEW_TEAM:
        return _new_team(intent, repository, factory, story, target)
    if intent.kind in (Kind.NEW_SERVER, Kind.CHANGE_SERVER):
        return server_proposal(intent, repository, story, target)
    return _rollback(intent, repository, factory, story, target)


def _new_team(intent: Intent, repository: Repository, factory: Factory, story: page.Story, target: str) -> Proposal:
    spec = TeamSpec.model_validate(intent.payload["spec"])
    folder = f"{ZONE}/{spec.folder}"
    files: dict[str, bytes | None] = {f"{folder}/{name}": data for name, data in factory.render(spec, ZONE).items()}
    return Proposal(
        branch=intent.branch,
        title=page.new_team_title(spec),
        body=page.new_team_body(spec, story, factory.forecast(spec)),
        labels=page.NEW_TEAM_LABELS,
        files=files | _reports(repository, factory, target, folder, spec),
        message=f"Add team {spec.name}\n\nRequested by {intent.requester}.\n",
        base=target,
    )


def _rollback(intent: Intent, repository: Repository, factory: Factory, story: page.Story, target: str) -> Proposal:
    path, tree, commit = (str(intent.payload[name]) for name in ("path", "tree", "commit"))
    if repository.tree(commit, path) != tree:
        raise Refused(
            f"the verified tree {tree[:12]} of {path} is not at commit {commit[:12]}; a person must look into it"
        )
    wanted = repository.listing(commit, path)
    blobs = repository.blobs([entry.sha for entry in wanted])
    files: dict[str, bytes | None] = {it.path: None for it in repository.listing(target, path)}
    files |= {entry.path: data for entry, data in zip(wanted, blobs, strict=True)}
    spec = factory.load(blobs[[entry.path for entry in wanted].index(f"{path}/team.yaml")])
    return Proposal(
        branch=intent.branch,
        title=page.rollback_title(intent.subject),
        body=page.rollback_body(intent.subject, path, str(intent.payload["from"]), tree, commit, story),
        labels=page.ROLLBACK_LABELS,
        files=files | _reports_if_known(repository, factory, target, path, spec),
        message=f"Roll back team {intent.subject} to tree {tree[:12]}\n\nRequested by {intent.requester}.\n",
        base=target,
        modes={entry.path: entry.mode for entry in wanted},
    )


def _reports(
    repository: Repository, factory: Factory, target: str, folder: str, spec: TeamSpec
) -> dict[str, bytes | None]:
    """What the team's parent (and any other parent that it comes between) learns by this change."""
    try:
        return reports_change(repository, factory, target, {folder: spec})
    except BadTeams as error:
        raise Refused(f"who reports to whom cannot be computed: {error}") from error


def _reports_if_known(
    repository: Repository, factory: Factory, target: str, folder: str, spec: TeamSpec
) -> dict[str, bytes | None]:
    """The same for a way back, which another team's unreadable spec must not bar: then parents' knowledge stays as it is."""
    try:
        return reports_change(repository, factory, target, {folder: spec})
    except BadTeams:
        return {}
