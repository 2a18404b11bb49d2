"""`./elf gateway export --agentgateway`: the running company's tool servers and grants for a cluster's gateway."""

from __future__ import annotations

import textwrap
from typing import Any

import yaml

from bootstrap.client import CompanyError
from bootstrap.home import Home
from bootstrap.main_line import MainLine
from bootstrap.places import repository_path
from bootstrap.settings import Settings
from mcp_servers.cluster.directory import read_directory
from mcp_servers.gateway.agentgateway import GATEWAY, NAMESPACE, Company, exported
from mcp_servers.gateway.discovery import in_files
from mcp_servers.gateway.identity import Identity, operator_token_hash
from mcp_servers.git.facts import read_base
from mcp_servers.git.repository import Repository

_HEAD = """\
# Resources of the agentgateway project (agentgateway.dev/v1alpha1), from main at {commit}.
# They want a Gateway named {gateway} in the namespace {namespace}, and the Secrets that are named below; neither is written here.
# A member comes with the token that this company gave it, which is checked by the public key below.
#
# Not said by them, and so kept to the company's own gateway:
"""


def export(settings: Settings) -> dict[str, Any]:
    """`{resources, unsaid, yaml}`, read from the company's repository; the company need not run. No secret is in it."""
    home = Home(settings.home)
    path = repository_path(home)
    if not path.exists():
        raise CompanyError(f"there is no company in {settings.home} yet: run ./elf up")
    repository = Repository(path)
    main = MainLine(repository)
    commit = main.commit()
    identity = Identity(
        home.key("gateway").encode(), operator_token_hash(home.key("operator")), lambda _id, _rows: False
    )
    made = exported(
        Company(
            [found.spec for found in in_files(main.server_files(commit)) if found.spec is not None],
            read_base(repository, "main").law.access,
            identity.public_keys,
            {
                f"{team.spec.name}/{member.name}": member.tools
                for team in read_directory(repository, commit).teams
                for member in team.spec.members
            },
        )
    )
    head = _HEAD.format(commit=commit[:12], gateway=GATEWAY, namespace=NAMESPACE)
    head += "".join(
        textwrap.fill(line, 120, initial_indent="# - ", subsequent_indent="#   ") + "\n" for line in made.unsaid
    )
    text = head + yaml.safe_dump_all(made.resources, sort_keys=False, explicit_start=True, width=110)
    return {"resources": made.resources, "unsaid": made.unsaid, "yaml": text}
