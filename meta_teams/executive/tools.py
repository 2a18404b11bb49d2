"""The tools each agent of executive uses, by the gateway's names. The manager also reaches other teams."""

from __future__ import annotations

TOOLS: dict[str, tuple[str, ...]] = {
    "ceo": (
        "registry__query_teams",
        "registry__get_team_hierarchy",
        "git__list_changes",
        "git__get_change",
        "cluster__team_status",
        "gateway__list_servers",
    ),
    "cto": (),
    "cmo": (),
    "coo": (),
    "cfo": (),
}
