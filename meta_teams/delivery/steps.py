"""The steps, one function each: facts in, what it found out back. Each can be done again after a kill at any line.

The only steps that change the world are `propose` and `roll_back`; both carry the key of their thread, so that doing
them twice is doing them once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import BaseModel

from meta_teams.delivery import design, diagnose, server_steps, understand
from meta_teams.delivery.desk import Desk, ToolRefused
from meta_teams.delivery.model_replies import Misfit, parse, visible
from meta_teams.delivery.next_step import Facts, Step
from meta_teams.delivery.outcomes import ask, covered, hold, refuse, report
from meta_teams.delivery.seen import ChangeRow, Forecast, Log, PastOutcome, Seen, TeamRow, TeamStatus
from teams.messages import Incident, TeamCreationRequest

QUERY, CHANGES, CHANGE = "registry__query_teams", "git__list_changes", "git__get_change"
OUTCOMES = "git__past_outcomes"
VALIDATE, FORECAST = "factory__validate_team_spec", "factory__forecast_team_cost"
PROPOSE, ROLL_BACK = "git__propose_team", "git__propose_rollback"
STATUS, LOG = "cluster__team_status", "cluster__team_log"

_LOG_LINES = 120
_MOST_TEXT = 2000

#: What a step found out: fields of `Facts`.
Found = Mapping[str, Any]
StepFunction = Callable[[Desk, Facts], Awaitable[Found]]


class _Teams(Seen):
    teams: tuple[TeamRow, ...]


class _Changes(Seen):
    changes: tuple[ChangeRow, ...]


class _Outcomes(Seen):
    outcomes: tuple[PastOutcome, ...]


class _Checked(Seen):
    ok: bool
    errors: tuple[str, ...] = ()


class _Proposed(Seen):
    change: int


async def survey(desk: Desk, facts: Facts) -> Found:
    del facts
    teams = (await desk.use(QUERY, {}, _Teams)).teams
    changes = (await desk.use(CHANGES, {"state": "open"}, _Changes)).changes
    names = ", ".join(team.name for team in teams) or "none"
    desk.say(desk.holder(QUERY).name, f"Living teams: {names}. Open changes: {len(changes)}.")
    return {"teams": teams, "changes": changes, **await server_steps.survey_servers(desk)}


async def understand_request(desk: Desk, facts: Facts) -> Found:
    request, member = _request(facts), desk.holder(QUERY)
    messages = understand.prompt(request, facts.teams or (), facts.servers, facts.programs, facts.understand_faults)
    reply = await desk.ask_model(member, messages, understand.PURPOSE, understand.Understanding)
    try:
        understood = understand.read(reply, request, facts.programs)
    except Misfit as misfit:
        desk.say(member.name, f"My reading of the request did not hold: {misfit}")
        return {"understand_tries": facts.understand_tries + 1, "understand_faults": misfit.faults}
    skills = ", ".join(understood.required_skills)
    desk.say(member.name, f"I understand: {understood.summary} Skills: {skills or 'unclear'}.")
    return {"understanding": understood}


async def design_team(desk: Desk, facts: Facts) -> Found:
    """One try at a spec. A reply that does not hold leaves its faults for the next try."""
    if facts.understanding is None:
        raise AssertionError("a team is designed once the request is understood")
    member = desk.holder(VALIDATE)
    past = await _past_outcomes(desk)
    messages = design.prompt(
        _request(facts), facts.understanding, facts.covered, facts.design_faults, facts.servers, past
    )
    reply = await desk.ask_model(member, messages, design.PURPOSE, design.Proposal)
    try:
        spec, rationale = design.read(reply, [tool.tool for one in facts.servers for tool in one.tools])
        named = design.with_free_name(spec, facts.taken_names)
        await _validate(desk, design.as_data(named))
    except Misfit as misfit:
        desk.say(member.name, f"Try {facts.design_tries + 1} of {design.ATTEMPTS} did not hold: {misfit}")
        return {"design_tries": facts.design_tries + 1, "design_faults": misfit.faults}
    roles = ", ".join(f"{one.name} ({one.role})" for one in named.members)
    desk.say(member.name, f"I propose {named.name}, {named.framework}, in {named.placement}: {roles}. {rationale}")
    return {"spec": named, "wished_name": spec.name, "rationale": rationale}


async def _past_outcomes(desk: Desk) -> tuple[PastOutcome, ...]:
    """What became of earlier teams. A company whose law does not grant the look designs without it."""
    try:
        return (await desk.use(OUTCOMES, {"kind": "new_team"}, _Outcomes)).outcomes
    except ToolRefused as refused:
        desk.say(desk.holder(OUTCOMES).name, f"I design without what became of earlier teams: {refused}")
        return ()


async def _validate(desk: Desk, spec: Mapping[str, Any]) -> None:
    """`Misfit` with what the factory says is wrong: it has the last word on specs."""
    checked = await desk.use(VALIDATE, {"spec": spec}, _Checked)
    if not checked.ok:
        raise Misfit(checked.errors)


async def forecast_cost(desk: Desk, facts: Facts) -> Found:
    try:
        expected = await desk.use(FORECAST, {"spec": _spec(facts)}, Forecast)
    except ToolRefused as refused:
        return {"refusals": refused.reasons}
    desk.say(desk.holder(FORECAST).name, f"Forecast: ${expected.usd_month} a month ({'; '.join(expected.basis)}).")
    return {"forecast": expected}


async def propose(desk: Desk, facts: Facts) -> Found:
    request = _request(facts)
    proposal = {
        "spec": _spec(facts),
        "gap": visible(request.capability_gap)[:_MOST_TEXT].strip() or "not said in visible words",
        "requester": request.requester,
        "key": desk.key,
        "rationale": _why(facts),
    }
    return await _proposed(desk, PROPOSE, proposal)


async def propose_server(desk: Desk, facts: Facts) -> Found:
    request = _request(facts)
    proposal = {
        "spec": facts.server,
        "gap": visible(request.capability_gap)[:_MOST_TEXT].strip() or "not said in visible words",
        "requester": request.requester,
        "key": desk.key,
        "rationale": visible(facts.rationale)[:_MOST_TEXT].strip(),
    }
    return await _proposed(desk, server_steps.PROPOSE, proposal)


async def inspect(desk: Desk, facts: Facts) -> Found:
    team = _incident(facts).team
    status = await desk.use(STATUS, {"team": team}, TeamStatus)
    changes = (await desk.use(CHANGES, {"state": "all"}, _Changes)).changes
    log = await desk.use(LOG, {"team": team, "lines": _LOG_LINES}, Log)
    desk.say(desk.holder(STATUS).name, f"{team} is {status.state}: {status.reason or 'no reason given'}")
    about = tuple(change for change in changes if change.team == team)
    return {"status": status, "changes": about, "log": Log(diagnostics=log.diagnostics[-_LOG_LINES:])}


async def diagnose_incident(desk: Desk, facts: Facts) -> Found:
    if facts.status is None or facts.log is None:
        raise AssertionError("an incident is diagnosed once it was looked at")
    member = desk.holder(LOG)
    messages = diagnose.prompt(_incident(facts), facts.status, facts.log, facts.diagnose_faults)
    reply = await desk.ask_model(member, messages, diagnose.PURPOSE, diagnose.Diagnosis)
    try:
        found = parse(reply, diagnose.Diagnosis)
    except Misfit as misfit:
        desk.say(member.name, f"My diagnosis did not hold: {misfit}")
        return {"diagnose_tries": facts.diagnose_tries + 1, "diagnose_faults": misfit.faults}
    desk.say(
        member.name, f"{found.cause} I would {found.remedy.replace('_', ' ')}. Evidence: {' | '.join(found.evidence)}"
    )
    return {"diagnosis": found}


async def roll_back(desk: Desk, facts: Facts) -> Found:
    decision = facts.decision
    reason = decision.reason if decision else "ill"
    wanted = {"team": _incident(facts).team, "reason": visible(reason)[:_MOST_TEXT], "key": desk.key}
    return await _proposed(desk, ROLL_BACK, wanted)


async def adopt(desk: Desk, facts: Facts) -> Found:
    same = facts.same_server or facts.same_proposal
    number = facts.decision.change if facts.decision else same.number if same else None
    desk.say(desk.manager, f"Change {number} is about this already; I take it up instead of making another.")
    return {"change": number}


async def check(desk: Desk, facts: Facts) -> Found:
    """How far the change has come, from Git, and how its team or server is, from where it runs; never from a message."""
    progress = await desk.use(CHANGE, {"number": facts.change}, ChangeRow)
    if progress.server is not None:
        return {"progress": progress, "served": await server_steps.served(desk, progress)}
    status = None
    if progress.state == "merged" and progress.team is not None:
        try:
            status = await desk.use(STATUS, {"team": progress.team}, TeamStatus)
        except ToolRefused as unknown:
            # Merged a moment ago: the registry learns of it next.
            desk.say(desk.holder(STATUS).name, str(unknown))
    health = f", {progress.team} is {status.state}" if status else ""
    desk.say(desk.holder(CHANGE).name, f"Change {progress.number} is {progress.state} ({progress.progress}){health}.")
    return {"progress": progress, "status": status}


async def _proposed(desk: Desk, tool: str, proposal: Mapping[str, Any]) -> Found:
    member = desk.holder(tool).name
    try:
        made = await desk.use(tool, proposal, _Proposed)
    except ToolRefused as refused:
        desk.say(member, f"The proposal was refused: {'; '.join(refused.reasons)}")
        return {"refusals": refused.reasons}
    desk.say(member, f"Change {made.change} is open.")
    return {"change": made.change}


def _why(facts: Facts) -> str:
    near = facts.covered
    extend = f" {near.extendable} does part of it and lacks {', '.join(near.missing)}." if near.extendable else ""
    return visible(f"{facts.rationale}{extend}")[:_MOST_TEXT].strip()


def _spec(facts: Facts) -> dict[str, Any]:
    if facts.spec is None:
        raise AssertionError("this step comes after the design")
    return design.as_data(facts.spec)


def _request(facts: Facts) -> TeamCreationRequest:
    if facts.request is None:
        raise AssertionError("this step belongs to a request")
    return facts.request


def _incident(facts: Facts) -> Incident:
    if facts.incident is None:
        raise AssertionError("this step belongs to an incident")
    return facts.incident


def _ending(make: Callable[[Facts], BaseModel]) -> StepFunction:
    async def end(desk: Desk, facts: Facts) -> Found:
        del desk
        return {"outcome": make(facts)}

    return end


#: Everything but waiting, which is the graph's.
STEPS: Mapping[Step, StepFunction] = {
    Step.SURVEY: survey,
    Step.UNDERSTAND: understand_request,
    Step.DESIGN: design_team,
    Step.FORECAST: forecast_cost,
    Step.PROPOSE: propose,
    Step.LOOK: server_steps.look,
    Step.DESIGN_SERVER: server_steps.design_server,
    Step.PROPOSE_SERVER: propose_server,
    Step.INSPECT: inspect,
    Step.DIAGNOSE: diagnose_incident,
    Step.ROLL_BACK: roll_back,
    Step.ADOPT: adopt,
    Step.CHECK: check,
    Step.ASK: _ending(ask),
    Step.COVERED: _ending(covered),
    Step.REFUSE: _ending(refuse),
    Step.HOLD: _ending(hold),
    Step.REPORT: _ending(report),
}
