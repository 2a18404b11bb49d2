"""Loads a team's folder: its spec, and the worker that its generated code builds."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from teams.messages import first_fault
from teams.runtime.deployment import Deployment
from teams.spec import TeamSpec

if TYPE_CHECKING:
    # Generated tests read specs through this module and need neither network nor framework.
    from teams.runtime.work import Resources, TeamWorker

_FRAMEWORKS = {"crewai": "teams.runtime.crew", "langgraph": "teams.runtime.graph"}


class Unusable(Exception):
    """The team's folder cannot be run as it is. Its text says why, for people and for the DevOps team."""


def read_spec(folder: Path) -> TeamSpec:
    """The spec in a team's folder. The gate has read it strictly; here it only has to be valid."""
    try:
        return TeamSpec.model_validate(yaml.safe_load((folder / "team.yaml").read_text(encoding="utf-8")))
    except ValidationError as error:
        raise Unusable(f"team.yaml breaks a rule: {first_fault(error)}") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Unusable(f"team.yaml cannot be read: {error}") from error


def load_server(deployment: Deployment, framework: str) -> ModuleType:
    """Imports the team's `server` module from the deployment's source, and its framework. Slow unless preloaded."""
    importlib.import_module(_FRAMEWORKS[framework])
    zone = importlib.import_module(deployment.zone)
    source = str(Path(deployment.source, deployment.zone))
    if source not in zone.__path__:
        # First, so that this tree of the team is run and not the one beside the runtime.
        zone.__path__.insert(0, source)
    try:
        server = importlib.import_module(f"{deployment.package}.server")
    except Exception as error:
        raise Unusable(f"{deployment.package} cannot be imported: {type(error).__name__}: {error}") from error
    if Path(server.__file__ or "").resolve().parent != deployment.folder.resolve():
        raise Unusable(f"{deployment.package} was loaded from another folder than the one deployed")
    return server


def build_worker(server: ModuleType, resources: Resources) -> TeamWorker:
    """The worker that the generated code builds."""
    try:
        return server.build(resources)
    except Exception as error:
        raise Unusable(f"{server.__name__} cannot build the team: {type(error).__name__}: {error}") from error
