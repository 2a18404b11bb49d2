"""How devops works: the delivery graph, from a request to a team that lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from teams.runtime.work import Resources, TeamWorker


def build(resources: Resources) -> TeamWorker:
    """The team, ready for requests. The framework is loaded here, not when the team is only looked at."""
    from meta_teams.delivery.workflow import build as build_delivery

    return build_delivery(resources.spec, resources.gateway, resources.conversation, resources.checkpoint_path)
