"""The cluster port: start a team's tree somewhere, stop it, see whether it lives, read what it said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from teams.runtime.deployment import Deployment


class ClusterError(RuntimeError):
    """The cluster could not do it; the message says why. Infrastructure's fault, never the team's."""


@dataclass(frozen=True)
class Running:
    """A deployment's process. `address` is its base URL, `process` names it for people (`pid 4711`)."""

    deployment_id: str
    team: str
    address: str
    process: str


@dataclass(frozen=True)
class Log:
    """A team's last lines: the conversation (JSON lines of teams.runtime.conversation) and everything else it printed."""

    conversation: tuple[str, ...]
    diagnostics: tuple[str, ...]


class Cluster(Protocol):
    async def start(self, deployment: Deployment) -> Running:
        """Starts the deployment; it may not be healthy yet. Starting one that runs returns it."""
        ...

    async def stop(self, deployment_id: str) -> None:
        """Ends the deployment; one that does not run is ended already."""
        ...

    def running(self) -> Mapping[str, Running]:
        """Every live deployment, by id."""
        ...

    def ending(self, deployment_id: str) -> str | None:
        """How an ended deployment's process went (`killed by signal 9`), if the cluster saw it."""
        ...

    def log(self, team: str, lines: int) -> Log: ...

    async def close(self) -> None:
        """Ends every deployment."""
        ...
