"""The tools each agent of devops uses, by the gateway's names. The manager also reaches other teams."""

from __future__ import annotations

TOOLS: dict[str, tuple[str, ...]] = {
    "delivery-lead": (
        "registry__query_teams",
        "registry__get_team_hierarchy",
        "registry__get_executive_teams",
        "registry__get_team_members",
        "registry__get_team_composition",
        "git__propose_team",
        "git__propose_server",
        "git__list_changes",
        "git__get_change",
    ),
    "team-designer": (
        "registry__query_teams",
        "registry__get_team_composition",
        "git__past_outcomes",
        "factory__validate_team_spec",
        "factory__render_team",
        "factory__describe_server_spec",
        "factory__validate_server_spec",
        "factory__render_server",
        "gateway__list_servers",
        "gateway__look_at_server",
    ),
    "cost-analyst": ("factory__forecast_team_cost",),
    "reliability-engineer": (
        "cluster__team_status",
        "cluster__team_log",
        "git__propose_rollback",
        "git__list_changes",
        "git__get_change",
    ),
}
