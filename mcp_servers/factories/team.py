"""A team spec becomes a team folder. Pure: the same spec gives the same bytes, on any machine."""

from __future__ import annotations

import hashlib
from typing import Literal

from mcp_servers.factories import literals, rendering
from mcp_servers.factories.fileset import File, FileSet
from mcp_servers.factories.spec_files import dump_spec
from teams.spec import TeamSpec

Zone = Literal["teams", "meta_teams"]

#: Template to path, for every team. `crew.py` or `workflow.py` and the agents come on top.
_ALWAYS = (
    "README.md",
    "__init__.py",
    "agents/__init__.py",
    "tasks.py",
    "tools.py",
    "server.py",
    "Dockerfile",
    "k8s/deployment.yaml",
    "k8s/service.yaml",
    "k8s/serviceaccount.yaml",
    "k8s/networkpolicy.yaml",
    "k8s/kustomization.yaml",
    "tests/__init__.py",
    "tests/test_team.py",
)


def render(spec: TeamSpec, zone: Zone = "teams") -> FileSet:
    """The files of the team's folder, paths relative to it."""
    environment = rendering.environment()
    team_yaml = dump_spec(spec)
    how = "crew" if spec.framework == "crewai" else "workflow"
    shared = {
        "spec": spec,
        "zone": zone,
        "how": how,
        # A version that a person can compare and a registry accepts: the spec's own digest.
        "version": "spec-" + hashlib.sha256(team_yaml.encode()).hexdigest()[:12],
    }

    def file(template: str, **more: object) -> File:
        return File(environment.get_template(f"team/{template}.j2").render(shared, **more).encode())

    files = {"team.yaml": File(team_yaml.encode())}
    files |= {path: file(path) for path in _ALWAYS}
    files[f"{how}.py"] = file("delivery.py" if spec.process == "delivery" else f"{how}.py")
    files |= {
        f"agents/{literals.module(member.name)}.py": file("agents/agent.py", member=member) for member in spec.members
    }
    return FileSet(files)
