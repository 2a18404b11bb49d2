"""How a wish for a tool ends, and the sentence people read: which tools there are, and what lets a member call them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meta_teams.delivery.gate_words import sentences
from meta_teams.delivery.next_step import Facts
from meta_teams.delivery.seen import ChangeRow, ServerRow, gist
from teams.messages import Outcome


def covered(server: ServerRow) -> Outcome:
    tools = _tools(server)
    what = "; ".join(f"{tool.tool}: {tool.does}" if tool.does else tool.tool for tool in server.tools)
    return Outcome(
        outcome="covered",
        server=server.server,
        tools=tools,
        reasons=(f"{server.server} does it already ({what})",),
        next_step=grant(tools),
    )


def refused(facts: Facts) -> Outcome:
    """It was refused, or no design held."""
    name = facts.server["name"] if facts.server else None
    if facts.refusals:
        return Outcome(outcome="refused", server=name, reasons=facts.refusals)
    tries = f"no design of a tool server held in {facts.design_tries} tries"
    return Outcome(outcome="refused", reasons=(tries, *facts.design_faults))


def proposed(change: ChangeRow, reasons: Sequence[str], spec: dict[str, Any] | None) -> Outcome:
    """It waits for a person."""
    tools = tuple(f"{spec['name']}__{tool['name']}" for tool in spec["tools"]) if spec else ()
    return Outcome(
        outcome="proposed",
        change=change.number,
        server=change.server,
        tools=tools,
        reasons=tuple(reasons),
        verdict=gist(change.verdict),
        next_step="Approving it admits these tools as they stand there; "
        "a member may call one once it is named in its team's team.yaml, or granted.",
    )


def ended(change: ChangeRow, served: ServerRow | None) -> Outcome:
    """The end of a change, from evidence: what the gateway serves now."""
    about = Outcome(outcome="held", change=change.number, server=change.server, verdict=gist(change.verdict))
    if change.state == "closed":
        why = f"rejected: {change.rejected_because}" if change.rejected_because else "closed without being merged"
        return about.model_copy(update={"outcome": "rejected", "reasons": (f"change {change.number} was {why}",)})
    if served is None or not served.healthy or not served.tools:
        fault = "it is not served" if served is None else served.problem or "none of its tools is served"
        reasons = (f"change {change.number} is merged, and the gateway says: {fault}",)
        return about.model_copy(update={"reasons": reasons, "next_step": "./elf gateway servers shows how it is."})
    tools = _tools(served)
    wanting = " ".join(f"Set ELF_SECRET_{name} where the company runs first." for name in served.missing_secrets)
    then = f"{wanting} {grant(tools)}".strip()
    return about.model_copy(update={"outcome": "active", "tools": tools, "next_step": then})


def grant(tools: Sequence[str]) -> str:
    """What lets a member call the tools."""
    first = tools[0] if tools else "the tool"
    return (
        f"To let a member call it, write {first} under `tools` of that member in its team's team.yaml and propose that change; "
        "whoever approves it grants it (docs/tool-servers.md shows the commands). A new team can be asked for with it."
    )


def sentence(outcome: Outcome) -> str:
    """What people read. Made of the outcome alone."""
    server, change, why = outcome.server, outcome.change, "; ".join(outcome.reasons)
    tools, then = ", ".join(outcome.tools), f" {outcome.next_step}" if outcome.next_step else ""
    match outcome.outcome:
        case "proposed":
            state = sentences(outcome.reasons) or "Nothing stands in its way."
            return (
                f"Change {change} proposes the tool server {server}{f' with {tools}' if tools else ''}. {state}{then}"
            )
        case "covered":
            return f"No new tool server is needed: {why}.{then}"
        case "active":
            return f"The tool server {server} is served and healthy: {tools}. Change {change} is merged.{then}"
        case "rejected":
            return f"The tool server {server} will not be made: {why}."
        case "held":
            return f"The tool server {server} does not serve yet: {why}.{then}"
        case _:
            return f"The tool server {server} was not proposed: {why}."


def _tools(server: ServerRow) -> tuple[str, ...]:
    return tuple(tool.tool for tool in server.tools)
