"""An ill team: a model reads its log and advises, the facts decide. The only acts are the way back to a verified tree, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from meta_teams.delivery.model_replies import corrections, messages, tagged
from meta_teams.delivery.seen import ChangeRow, Log, TeamStatus
from teams.messages import Incident
from teams.spec import Line, Paragraph, Strict

PURPOSE = "diagnose-incident"
_SHOWN_LINES = 120


class Diagnosis(Strict):
    """What a model makes of a log. Advice."""

    cause: Paragraph
    #: Lines of the log that show it.
    evidence: tuple[Line, ...] = Field(max_length=8)
    remedy: Literal["roll_back", "restart", "hold"]


@dataclass(frozen=True)
class Decision:
    """`adopt` is the number of a rollback that is open already."""

    act: Literal["roll_back", "hold", "adopt"]
    reason: str
    change: int | None = None


def decide(
    incident: Incident, status: TeamStatus, changes: Sequence[ChangeRow], diagnosis: Diagnosis | None
) -> Decision:
    """What is done about an incident. Pure; a diagnosis can make us hold only where a machine, not a change, is at fault.

    A tree that has been healthy is not rolled back: the reconciler restarts it. Nor is the result of a rollback.
    """
    team = incident.team
    about = [change for change in changes if change.team == team]
    if open_one := next((it for it in about if it.kind == "rollback_team" and it.state == "open"), None):
        return Decision("adopt", f"change {open_one.number} already brings {team} back", open_one.number)
    if status.tree != incident.tree:
        return Decision("hold", f"main has another tree of {team} by now; the incident is over")
    if status.tree in status.verified:
        return Decision("hold", f"this tree of {team} has been healthy before; the reconciler restarts it")
    merged = [change for change in about if change.state == "merged"]
    if merged and max(merged, key=lambda change: change.number).kind == "rollback_team":
        return Decision("hold", f"{team} is ill after a rollback; a rollback of a rollback is for a person to decide")
    if not any(tree != status.tree for tree in status.verified):
        return Decision(
            "hold", f"no tree of {team} was ever found healthy, so there is none to return to; change or retire it"
        )
    if diagnosis is not None and diagnosis.remedy == "hold" and diagnosis.evidence:
        return Decision("hold", f"the surroundings seem at fault, not the change: {diagnosis.cause}")
    cause = diagnosis.cause if diagnosis else f"the health check says: {incident.reason}"
    return Decision("roll_back", cause)


def prompt(incident: Incident, status: TeamStatus, log: Log, faults: Sequence[str]) -> list[dict[str, str]]:
    endings = [f"a process {one.ended_as}: {one.reason or 'no reason known'}" for one in status.endings]
    return messages(
        "You find out why a team of AI agents is ill, for the DevOps team of its company. Answer with one JSON object.",
        "Name the cause in a sentence or two and quote the lines of the log that show it. Remedy roll_back if the latest change "
        "broke the team, restart if its process was merely ended, hold if its surroundings are at fault (disk, network, memory).",
        tagged("state", "\n".join([f"team {status.team}: {status.state}. {status.reason or ''}", *endings])),
        corrections(faults),
        tagged("request", f"The team {incident.team} is ill: {incident.reason}"),
        tagged("log", "\n".join(log.diagnostics[-_SHOWN_LINES:]) or "nothing was written"),
    )
