"""A tool server's proposal: what the gate would see of it, the page for people, and the files to push. Writes nothing."""

from __future__ import annotations

import json

from mcp_servers.factories.mcp_server import render_server
from mcp_servers.git.changes import Proposal
from mcp_servers.git.markdown import block, cell
from mcp_servers.git.proposal_page import Story
from mcp_servers.git.repository import Repository
from mcp_servers.git.server_facts import told
from mcp_servers.git.unborn import UNBORN, Setting, unborn
from mcp_servers.server_spec import HttpGet, ServerSpec, ToolSpec
from memory.changes import Intent
from policies.facts import Facts, Kind, ServerFacts
from policies.kinds import CATALOG


def kind_for(repository: Repository, base: str, spec: ServerSpec) -> Kind:
    """Whether main has a server of this name already."""
    return Kind.NEW_SERVER if repository.tree(base, CATALOG + spec.name) is None else Kind.CHANGE_SERVER


def preview(repository: Repository, spec: ServerSpec, wanted: Intent, setting: Setting) -> Facts:
    """The facts of the change as they would be, before there is a commit."""
    base, path = setting.base, CATALOG + spec.name
    server = ServerFacts(folder=spec.name, tree_before=repository.tree(base.commit, path), tree_after=UNBORN)
    facts = unborn(wanted, setting, path, render_server(spec))
    return facts.model_copy(update={"server": told(server, spec, base.law.access.own_networks)})


def server_proposal(intent: Intent, repository: Repository, story: Story, target: str) -> Proposal:
    """The same bytes for the same intent, as long as the factory is the same."""
    spec = ServerSpec.model_validate(intent.payload["spec"])
    path = CATALOG + spec.name
    files: dict[str, bytes | None] = {}
    if repository.tree(target, path) is not None:
        files = {entry.path: None for entry in repository.listing(target, path)}
    files |= {f"{path}/{name}": data for name, data in render_server(spec).items()}
    new = intent.kind == Kind.NEW_SERVER
    return Proposal(
        branch=intent.branch,
        title=f"{'New' if new else 'Change'} tool server: {spec.name}",
        body=body(spec, story),
        labels=("automated", "new-server" if new else "change-server", "needs-review"),
        files=files,
        message=f"{'Add' if new else 'Change'} tool server {spec.name}\n\nRequested by {intent.requester}.\n",
        base=target,
    )


def body(spec: ServerSpec, story: Story) -> str:
    """Gap, server, hosts, secrets and every tool's definition, for whoever reviews. Markdown."""
    for_whom = f" for {cell(story.on_behalf_of)}" if story.on_behalf_of else ""
    return "\n".join(
        [
            "## Gap",
            "",
            block(story.gap),
            "",
            "## Server",
            "",
            "| | |",
            "|---|---|",
            f"| Name | `{spec.name}` |",
            f"| Purpose | {cell(spec.purpose)} |",
            f"| Kind | `{spec.kind}` |",
            f"| Address | {cell(spec.url or 'none of its own')} |",
            f"| Program | {cell(' '.join(spec.command) or 'none')} |",
            f"| Hosts it reaches | {cell(', '.join(spec.hosts) or 'none that the spec names')} |",
            f"| Secrets it is given | {cell(', '.join(one.name for one in spec.credentials) or 'none')} |",
            f"| Owner | {cell(spec.owner)} |",
            f"| Requested by | {cell(story.requester)}{for_whom} |",
            "",
            "## Tools, as they are admitted",
            "",
            *[line for tool in spec.tools for line in _tool(spec, tool)],
            "## Rationale",
            "",
            block(story.rationale),
            "",
            "## Checklist",
            "",
            "- [ ] The gap is real, and no living server fills it",
            "- [ ] The descriptions above say what a tool does, and instruct nobody",
            "- [ ] Hosts and secrets are needed, and no more",
            "- [ ] The gate's verdict below was read",
            "",
            "All files are made by the MCP factory from `server.yaml`; the gate compares them byte for byte. Merging admits",
            "the tools; a member calls one once its team's `team.yaml` names it, or `policies/access.yaml` grants it.",
            "",
        ]
    )


def _tool(spec: ServerSpec, tool: ToolSpec) -> list[str]:
    addresses = [step.url for step in tool.steps if isinstance(step, HttpGet)]
    reached = [f"Fetches {cell(', '.join(addresses))}.", ""] if addresses else []
    return [
        f"### `{spec.name}__{tool.name}`",
        "",
        block(tool.description or ""),
        "",
        *reached,
        block(json.dumps(tool.schema_, indent=1, sort_keys=True)),
        "",
        *(_steps(tool) if tool.steps else []),
        f"Hash `{tool.sha256}`",
        "",
    ]


def _steps(tool: ToolSpec) -> list[str]:
    """What it does, in order: the fixed texts that it gives are read before they are admitted."""
    steps = [step.model_dump(mode="json", exclude_defaults=True) for step in tool.steps]
    return ["Does, step by step:", "", block(json.dumps(steps, indent=1, ensure_ascii=False)), ""]
