"""`./elf gateway export --agentgateway`: the running company's tool servers and grants for a cluster's gateway."""

from __future__ import annotations

from typing import Any

import yaml

from bootstrap.client import CompanyError
from bootstrap.home import Home
from bootstrap.main_line import MainLine
from bootstrap.places import repository_path
from bootstrap.settings import Settings
from mcp_servers.gateway.agentgateway import resources
from mcp_servers.gateway.discovery import in_files
from mcp_servers.git.facts import read_base
from mcp_servers.git.repository import Repository

_HEAD = """\
# Resources of the agentgateway project (agentgateway.dev/v1alpha1), from main at {commit}.
# Not said there, and so kept to the company's own gateway: quarantine of changed definitions, grants that depend on arguments,
# limits of one member and tool, what `servers` grants beside tools, the ledger. Programs (stdio) and the kernel's own servers have
# no address in a cluster.
"""


def export(settings: Settings) -> dict[str, Any]:
    """`{resources, yaml}`, read from the company's repository; the company need not run."""
    path = repository_path(Home(settings.home))
    if not path.exists():
        raise CompanyError(f"there is no company in {settings.home} yet: run ./elf up")
    repository = Repository(path)
    main = MainLine(repository)
    commit = main.commit()
    specs = [found.spec for found in in_files(main.server_files(commit)) if found.spec is not None]
    made = resources(specs, read_base(repository, "main").law.access)
    text = _HEAD.format(commit=commit[:12]) + yaml.safe_dump_all(made, sort_keys=False, explicit_start=True, width=110)
    return {"resources": made, "yaml": text}
