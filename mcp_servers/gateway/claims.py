"""Which address a server has, where several places name one: main before the environment, the environment before the cluster. Pure.

What somebody can write into a cluster never moves a server that the company's own files or its operator placed, and of two
services of one name neither is believed: who reads the names could not say which one was meant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mcp_servers.gateway.discovery import Found
from mcp_servers.server_spec import RESERVED


@dataclass(frozen=True)
class Settled:
    """Everything that was found, what is not used with its reason; and of each name that has an address, the find that gives it."""

    found: Sequence[Found]
    placed: Mapping[str, Found]


def settle(at_main: Sequence[Found], environment: Sequence[Found], cluster: Sequence[Found]) -> Settled:
    """Main admits; an address from elsewhere counts only where main's `server.yaml` leaves it open."""
    by_main = _without(environment, _placed_by(at_main))
    by_both = _without(cluster, _placed_by(at_main) | _placed_by_operator(by_main))
    once = _without(by_both, _named_twice(by_both))
    placed: dict[str, Found] = {}
    for one in [*at_main, *reversed(by_main), *once]:
        if one.url is not None and one.problem is None:
            placed[one.name] = one
    return Settled([*at_main, *by_main, *once], placed)


def _placed_by(at_main: Sequence[Found]) -> dict[str, str]:
    """Name -> why nobody else may say where that server is."""
    placed = dict.fromkeys(RESERVED, "is a name of the kernel's own")
    for one in at_main:
        open_ = one.spec is not None and one.spec.kind == "http" and one.url is None
        if not open_:
            placed[one.name] = f"is placed by {one.where} at main"
    return placed


def _placed_by_operator(environment: Sequence[Found]) -> dict[str, str]:
    return {one.name: f"is placed by {one.where}" for one in environment if one.url and one.problem is None}


def _named_twice(cluster: Sequence[Found]) -> dict[str, str]:
    places: dict[str, list[str]] = defaultdict(list)
    for one in cluster:
        if one.problem is None:
            places[one.name].append(one.where)
    return {
        name: f"is on {len(them)} services ({', '.join(them[:5])}), so none of them is used; take the label from all but one"
        for name, them in places.items()
        if len(them) > 1
    }


def _without(found: Sequence[Found], taken: Mapping[str, str]) -> list[Found]:
    return [
        replace(one, url=None, problem=f"not used: the name {one.name} {taken[one.name]}")
        if one.problem is None and one.name in taken
        else one
        for one in found
    ]
