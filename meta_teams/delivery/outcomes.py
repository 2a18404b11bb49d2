"""How a request ends, as data for whoever asked, and the sentence people read. Pure."""

from __future__ import annotations

from meta_teams.delivery import server_outcomes
from meta_teams.delivery.gate_words import gate_says, sentences
from meta_teams.delivery.next_step import Facts
from meta_teams.delivery.seen import gist
from teams.messages import Outcome, ReplyState

_ASK_AGAIN = "What should the team be able to do, or the tool be good for? One sentence with the work and whom it is for is enough."


def ask(facts: Facts) -> Outcome:
    question = facts.understanding.question if facts.understanding else None
    return Outcome(outcome="question", question=question or _ASK_AGAIN, reasons=facts.understand_faults)


def covered(facts: Facts) -> Outcome:
    if (server := facts.serving) is not None:
        return server_outcomes.covered(server)
    skills = ", ".join(facts.understanding.required_skills) if facts.understanding else ""
    return Outcome(
        outcome="covered", team=facts.covered.team, reasons=(f"{facts.covered.team} has what is needed: {skills}",)
    )


def refuse(facts: Facts) -> Outcome:
    """The proposal was refused, or no design held."""
    if facts.understanding is not None and facts.understanding.intent == "tool_server":
        return server_outcomes.refused(facts)
    if facts.refusals:
        return Outcome(outcome="held" if facts.incident else "refused", team=_team(facts), reasons=facts.refusals)
    tries = f"no design held in {facts.design_tries} tries; say more exactly what the team shall do"
    return Outcome(outcome="refused", reasons=(tries, *facts.design_faults))


def hold(facts: Facts) -> Outcome:
    decision = facts.decision
    return Outcome(outcome="held", team=_team(facts), reasons=(decision.reason,) if decision else ())


def report(facts: Facts) -> Outcome:
    """The end of a change, from evidence."""
    change = facts.progress
    if change is None:
        raise AssertionError("a report is made once the change was read")
    if change.server is not None:
        return server_outcomes.ended(change, facts.served)
    forecast = facts.forecast.usd_month if facts.forecast else None
    team = change.team or _team(facts)
    if change.state == "closed":
        why = change.rejected_because
        reasons = (
            (f"change {change.number} was rejected: {why}",)
            if why
            else (f"change {change.number} was closed without being merged",)
        )
        return Outcome(
            outcome="rejected", change=change.number, team=team, reasons=reasons, verdict=gist(change.verdict)
        )
    if change.rolled_back_by is not None:
        reasons = (f"change {change.number} was taken back by change {change.rolled_back_by}",)
        return Outcome(
            outcome="reverted", change=change.number, team=team, reasons=reasons, verdict=gist(change.verdict)
        )
    ended = "reverted" if change.kind == "rollback_team" else "active"
    return Outcome(
        outcome=ended, change=change.number, team=team, verdict=gist(change.verdict), forecast_usd_month=forecast
    )


def waiting(facts: Facts) -> Outcome:
    """The change as it stands while somebody else's turn it is: a person's, the merge desk's, the reconciler's."""
    change = facts.progress
    reasons = gate_says(change.verdict) if change and change.state == "open" else ()
    if change is not None and change.server is not None:
        return server_outcomes.proposed(change, reasons, facts.server)
    if change and change.state == "merged":
        reasons = (
            f"change {change.number} is merged; {change.team} is {facts.status.state if facts.status else 'not started yet'}",
        )
    return Outcome(
        outcome="proposed",
        change=facts.change,
        team=(change.team if change else None) or _team(facts),
        reasons=reasons,
        verdict=gist(change.verdict) if change else None,
        forecast_usd_month=facts.forecast.usd_month if facts.forecast else None,
    )


def reply_state(outcome: Outcome) -> ReplyState:
    """A2A's word for it."""
    match outcome.outcome:
        case "proposed" | "question":
            return "input_required"
        case "refused":
            return "rejected"
        case _:
            return "completed"


def sentence(outcome: Outcome) -> str:
    """What people read. Made of the outcome alone."""
    if outcome.server is not None:
        return server_outcomes.sentence(outcome)
    team, change, why = outcome.team, outcome.change, "; ".join(outcome.reasons)
    match outcome.outcome:
        case "proposed":
            cost = f", forecast ${outcome.forecast_usd_month} a month" if outcome.forecast_usd_month else ""
            return (
                f"Change {change} proposes {team}{cost}. {sentences(outcome.reasons) or 'Nothing stands in its way.'}"
            )
        case "covered":
            return f"No new team is needed: {why}."
        case "question":
            return outcome.question or _ASK_AGAIN
        case "refused":
            return f"Nothing was proposed: {why}."
        case "active":
            return f"{team} is active: change {change} is merged, deployed and healthy."
        case "rejected":
            return f"{team} will not be made: {why}."
        case "reverted":
            return f"{team} is back at its last healthy state{f': {why}' if why else f' by change {change}'}."
        case "held":
            return f"Nothing is done about {team}: {why}."


def _team(facts: Facts) -> str | None:
    if facts.incident is not None:
        return facts.incident.team
    return facts.spec.name if facts.spec else None
