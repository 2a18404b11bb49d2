"""The steps that are about tool servers: who serves what, what a stranger would bring, and the spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meta_teams.delivery import server_design
from meta_teams.delivery.design import ATTEMPTS
from meta_teams.delivery.desk import Desk, ToolRefused
from meta_teams.delivery.model_replies import Misfit
from meta_teams.delivery.next_step import Facts
from meta_teams.delivery.seen import ChangeRow, Form, Looked, Seen, ServerRow
from meta_teams.delivery.server_design import Draft
from teams.runtime.gateway_client import GatewayError, GatewayUnreachable

SERVERS, LOOK = "gateway__list_servers", "gateway__look_at_server"
FORM, VALIDATE, PROPOSE = (
    "factory__describe_server_spec",
    "factory__validate_server_spec",
    "git__propose_server",
)

Found = Mapping[str, Any]


class _Servers(Seen):
    servers: tuple[ServerRow, ...] = ()
    programs: tuple[str, ...] = ()


class _Checked(Seen):
    ok: bool
    errors: tuple[str, ...] = ()


async def survey_servers(desk: Desk) -> Found:
    """What is served. A company whose law is older than this tool has none to tell: teams are still made."""
    try:
        found = await desk.use(SERVERS, {}, _Servers)
    except GatewayUnreachable:
        raise
    except GatewayError as refused:
        desk.say(desk.holder(SERVERS).name, f"I cannot see the tool servers: {refused}")
        return {}
    names = ", ".join(one.server for one in found.servers) or "none"
    desk.say(desk.holder(SERVERS).name, f"Tool servers of the catalogue: {names}.")
    return {"servers": found.servers, "programs": found.programs}


async def look(desk: Desk, facts: Facts) -> Found:
    """The tools of the server that shall be wrapped. Where it may not or cannot be looked at, nothing is proposed."""
    understood = facts.understanding
    if understood is None:
        raise AssertionError("a server is looked at once the request is understood")
    where = {"url": understood.server_url or "", "program": understood.program or ""}
    member = desk.holder(LOOK).name
    try:
        looked = await desk.use(LOOK, where, Looked)
    except ToolRefused as refused:
        desk.say(member, f"I could not look at it: {'; '.join(refused.reasons)}")
        return {"refusals": refused.reasons}
    usable = [tool.name for tool in looked.tools if tool.problem is None]
    desk.say(member, f"It says that it has {', '.join(tool.name for tool in looked.tools)}.")
    if not usable:
        problems = tuple(f"{tool.name}: {tool.problem}" for tool in looked.tools[:10])
        return {"refusals": ("none of its tools can be admitted", *problems)}
    return {"looked": looked}


async def design_server(desk: Desk, facts: Facts) -> Found:
    """One try at a spec. A reply that does not hold leaves its faults for the next try."""
    member = desk.holder(VALIDATE)
    try:
        draft = await (_wrapped if facts.looked is not None else _own)(desk, facts)
        spec, rationale = draft.spec, draft.rationale
        checked = await desk.use(VALIDATE, {"spec": spec}, _Checked)
        # All that is wrong at once: there are three tries.
        faults = (*draft.faults, *checked.errors)[:20]
    except Misfit as misfit:
        spec, rationale, faults = {}, "", misfit.faults
    if faults:
        desk.say(member.name, f"Try {facts.design_tries + 1} of {ATTEMPTS} did not hold: {'; '.join(faults)}")
        return {"design_tries": facts.design_tries + 1, "design_faults": faults}
    tools = ", ".join(f"{spec['name']}__{tool['name']}" for tool in spec["tools"])
    desk.say(member.name, f"I propose the tool server {spec['name']} ({spec['kind']}): {tools}. {rationale}")
    return {"server": spec, "rationale": rationale}


async def served(desk: Desk, progress: ChangeRow) -> ServerRow | None:
    """The change's server as the gateway serves it now; None before the merge, or if it is not served."""
    member, row = desk.holder(SERVERS).name, None
    if progress.state == "merged":
        found = await desk.use(SERVERS, {}, _Servers)
        row = next((one for one in found.servers if one.server == progress.server), None)
    health = "" if row is None else f", {row.server} is {'healthy' if row.healthy else row.problem}"
    desk.say(member, f"Change {progress.number} is {progress.state} ({progress.progress}){health}.")
    return row


async def _own(desk: Desk, facts: Facts) -> Draft:
    request, understood = facts.request, facts.understanding
    assert request is not None and understood is not None
    form = await desk.use(FORM, {}, Form)
    messages = server_design.own_prompt(request, understood, form, facts.servers, facts.design_faults)
    member = desk.holder(VALIDATE)
    reply = await desk.ask_model(member, messages, server_design.PURPOSE, server_design.own_schema(form))
    owner = server_design.owner_of(request, desk.spec.name)
    return server_design.read_own(reply, _taken(facts), owner)


async def _wrapped(desk: Desk, facts: Facts) -> Draft:
    request, understood, looked = facts.request, facts.understanding, facts.looked
    assert request is not None and understood is not None and looked is not None
    messages = server_design.wrap_prompt(request, understood, looked, facts.servers, facts.design_faults)
    member = desk.holder(VALIDATE)
    reply = await desk.ask_model(member, messages, server_design.WRAP_PURPOSE, server_design.Wrapping)
    return server_design.read_wrapping(reply, looked, _taken(facts), server_design.owner_of(request, desk.spec.name))


def _taken(facts: Facts) -> frozenset[str]:
    """Names of servers that are served. One that is only proposed is taken up instead."""
    return frozenset(one.server for one in facts.servers)
