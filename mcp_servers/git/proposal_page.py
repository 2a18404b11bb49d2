"""What people read of a proposal: title, labels and body of the pull request. A model's words stand in code, and only there."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_servers.git.markdown import block, cell
from policies.money import dollars
from teams.spec import TeamSpec

NEW_TEAM_LABELS = ("automated", "new-team", "needs-review")
ROLLBACK_LABELS = ("automated", "rollback")


@dataclass(frozen=True)
class Story:
    """Why a change is asked for, in the words of whoever asks."""

    gap: str
    rationale: str
    requester: str
    on_behalf_of: str | None


def new_team_title(spec: TeamSpec) -> str:
    return f"New team: {spec.name}"


def new_team_body(spec: TeamSpec, story: Story, forecast_usd_micro: int | None) -> str:
    """Gap, team, department, forecast, members, rationale and the checklist for whoever reviews. Markdown."""
    month = dollars(forecast_usd_micro) if forecast_usd_micro is not None else "unknown"
    return "\n".join(
        [
            "## Gap",
            "",
            block(story.gap),
            "",
            "## Team",
            "",
            "| | |",
            "|---|---|",
            f"| Name | `{spec.name}` |",
            f"| Purpose | {cell(spec.purpose)} |",
            f"| Department | `{spec.department}` (placement `{spec.placement}`) |",
            f"| Reports to | `{spec.reports_to}` |",
            f"| Framework | `{spec.framework}`, {spec.process} |",
            f"| Model | {cell(spec.model)} |",
            f"| Daily budget | {dollars(int(spec.daily_budget_usd * 1_000_000))} at most |",
            f"| Forecast cost | {month} a month |",
            f"| Requested by | {cell(story.requester)}{_for(story)} |",
            "",
            "| Member | Role | Skills | Tools |",
            "|---|---|---|---|",
            *[_member(spec, index) for index in range(len(spec.members))],
            "",
            "## Rationale",
            "",
            block(story.rationale),
            "",
            "## Checklist",
            "",
            "- [ ] The gap is real, and no living team could fill it",
            "- [ ] Members, roles and the manager fit the work",
            "- [ ] The tools asked for are needed, and no more",
            "- [ ] Daily budget and forecast are worth it",
            "- [ ] The gate's verdict below was read",
            "",
            "All files are made by the team factory from `team.yaml`; the gate compares them byte for byte.",
            "",
        ]
    )


def rollback_title(team: str) -> str:
    return f"Roll back team: {team}"


def rollback_body(team: str, path: str, now_tree: str, tree: str, commit: str, story: Story) -> str:
    """What returns to what, and why. Markdown."""
    return "\n".join(
        [
            "## Why",
            "",
            block(story.gap),
            "",
            "## What",
            "",
            f"Returns `{path}` of team `{team}` from tree `{now_tree[:12]}` to `{tree[:12]}`, which was deployed at commit "
            f"`{commit[:12]}` and found healthy. Nothing else is touched.",
            "",
            f"Requested by {cell(story.requester)}{_for(story)}.",
            "",
        ]
    )


def _for(story: Story) -> str:
    return f" for {cell(story.on_behalf_of)}" if story.on_behalf_of else ""


def _member(spec: TeamSpec, index: int) -> str:
    member = spec.members[index]
    mark = " (manager)" if member.manager else " (skeptic)" if member.skeptic else ""
    skills, tools = cell(", ".join(member.skills)), cell(", ".join(member.tools))
    return f"| `{member.name}`{mark} | {cell(member.role, 80)} | {skills} | {tools} |"
