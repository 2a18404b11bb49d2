"""Sentences for people from what tools returned. Shapes are read tolerantly; what is not there is not said."""

from __future__ import annotations

import json
from typing import Any

from mcp_servers.gateway.rehearsal.prompt import Result
from mcp_servers.gateway.rehearsal.understanding import Wish
from mcp_servers.gateway.rehearsal.words import clip, listed, stem

_SHOWN = 12


def teams_in(value: object) -> list[dict[str, Any]] | None:
    """The teams in a registry answer; None where it is no such answer."""
    rows = _rows(value, "teams")
    return None if rows is None else [row for row in rows if isinstance(row.get("name"), str)]


def of_team(result: Result) -> str:
    """What another team answered."""
    reply = _reply(result)
    team = str(result.arguments.get("team") or "The team")
    if reply is None:
        return f"`{team}` could not be reached: {clip(result.text, 500)}"
    if reply.get("state") in ("failed", "rejected"):
        return f"`{team}` did not do it: {reply.get('text', '')}"
    return f"`{team}` answers:\n\n{reply.get('text', '')}"


def of_request(result: Result, wish: Wish) -> str:
    """What the DevOps team made of a request for a new team."""
    reply = _reply(result)
    if reply is None:
        return f"The DevOps team could not be reached, so nothing was proposed: {clip(result.text, 500)}"
    data = reply.get("data") or {}
    team, change = data.get("team"), _whole(data.get("change"))
    said = [str(reason) for reason in data.get("reasons") or []][:5]
    reasons = listed(said)
    understood = f'I understood: "{wish.gist}". '
    if data.get("server"):
        return understood + _of_server(data, change, str(reply.get("text") or ""))
    match data.get("outcome"):
        case "proposed":
            return understood + _proposed(team, change, data, said)
        case "covered":
            return f"{understood}`{team}` already does this. Shall I hand it to them?"
        case "question":
            return str(data.get("question") or reply.get("text") or "Can you say more exactly what is needed?")
        case "active":
            return f"{understood}`{team}` is there and healthy."
        case "refused" | "rejected" | "held" | "reverted" as outcome:
            return f"{understood}Nothing was made; the DevOps team says {outcome}: {reasons or reply.get('text', '')}"
        case _:
            return (
                f"{understood}The DevOps team answers ({reply.get('state')}): {clip(str(reply.get('text', '')), 800)}"
            )


def of_status(result: Result) -> str:
    """What a status tool says, for a person."""
    if (servers := _rows(result.value, "servers")) is not None:
        return _servers(servers)
    if (changes := _rows(result.value, "changes")) is not None:
        return _changes(changes)
    if (teams := teams_in(result.value)) is not None:
        return _teams(teams)
    if isinstance(result.value, dict) and "state" in result.value and "team" in result.value:
        return _health(result.value)
    if isinstance(result.value, dict):
        facts = {
            key: value for key, value in result.value.items() if isinstance(value, str | int | float) and value != ""
        }
        if facts:
            return "; ".join(f"{key.replace('_', ' ')}: {clip(str(value), 120)}" for key, value in facts.items()) + "."
        return clip(json.dumps(result.value, ensure_ascii=False), 1500)
    return clip(result.text, 1500)


def _proposed(team: object, change: object, data: dict[str, Any], reasons: list[str]) -> str:
    cost = data.get("forecast_usd_month")
    sentences = [
        f"No living team covers that, so the DevOps team designed `{team}` and proposed it as change {change}"
        + (f", with a forecast of ${cost} a month." if cost else "."),
        *(f"{reason[:1].upper()}{reason[1:].rstrip('.')}." for reason in reasons),
        f"Nothing is deployed until it is approved: `./elf show {change}`, then `./elf approve {change}` "
        f"or `./elf reject {change} --why …`.",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _of_server(data: dict[str, Any], change: object, said: str) -> str:
    """What came of a wish for a tool, in the words that code made of it, and what the person decides on."""
    if data.get("outcome") != "proposed":
        return said
    decide = f"`./elf show {change}`, then `./elf approve {change}` or `./elf reject {change} --why …`"
    return f"{said} Nothing is served until it is approved: {decide}."


def of_serving(result: Result, abilities: tuple[str, ...]) -> str | None:
    """The served tools that have every word of one of the abilities in their names; None if none has."""
    wanted = [{stem(word) for word in ability.split("-")} for ability in abilities]
    for server in _rows(result.value, "servers") or []:
        names = [str(tool.get("tool")) for tool in server.get("tools") or [] if isinstance(tool, dict)]
        has = {stem(word) for name in names for word in name.split("_") if word}
        if server.get("healthy") and any(one <= has for one in wanted):
            tools = listed([f"`{name}`" for name in names])
            return f"`{server.get('server')}` does this already: {tools}. To let a team call it, name it in the team's team.yaml."
    return None


def _servers(servers: list[dict[str, Any]]) -> str:
    if not servers:
        return "There is no tool server in the catalogue."
    lines = [
        f"- `{one.get('server')}` ({'healthy' if one.get('healthy') else clip(str(one.get('problem')), 200)}): "
        + (
            ", ".join(f"`{tool.get('tool')}`" for tool in one.get("tools") or [] if isinstance(tool, dict))
            or "no tools"
        )
        for one in servers[:_SHOWN]
    ]
    return "\n".join([f"{len(servers)} tool {'server' if len(servers) == 1 else 'servers'} of the catalogue:", *lines])


def _health(status: dict[str, Any]) -> str:
    why = f" ({clip(str(status['reason']), 300)})" if status.get("reason") else ""
    spent = status.get("spent_today_usd")
    cost = f" It spent ${spent} of ${status.get('daily_budget_usd')} today." if spent is not None else ""
    return f"`{status['team']}` is {status['state']}{why}.{cost}"


def _teams(teams: list[dict[str, Any]]) -> str:
    if not teams:
        return "There is no team of that kind."
    lines = [f"- `{team['name']}`: {team.get('purpose', '')}".rstrip(": ") for team in teams[:_SHOWN]]
    more = [f"and {len(teams) - _SHOWN} more."] if len(teams) > _SHOWN else []
    return "\n".join([f"There {'is one team' if len(teams) == 1 else f'are {len(teams)} teams'}:", *lines, *more])


def _changes(changes: list[dict[str, Any]]) -> str:
    if not changes:
        return "No change is waiting."
    lines = [
        f"- change {change.get('number')}: {change.get('title', '')} ({change.get('state', 'open')})"
        for change in changes[:_SHOWN]
    ]
    return "\n".join([f"{len(changes)} {'change' if len(changes) == 1 else 'changes'}:", *lines])


def _reply(result: Result) -> dict[str, Any] | None:
    return result.value if isinstance(result.value, dict) and "state" in result.value else None


def _whole(number: object) -> object:
    """Numbers that travelled as A2A data arrive as floats."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _rows(value: object, key: str) -> list[dict[str, Any]] | None:
    """The list under `key`, or under `result`, or the list itself."""
    if isinstance(value, dict):
        value = value.get(key, value.get("result"))
    if not isinstance(value, list):
        return None
    return [row for row in value if isinstance(row, dict)]
