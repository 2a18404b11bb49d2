"""A manager with tools: which call comes next, and the answer once the results are there.

The CEO first looks who lives, then delegates, asks for a new team, or asks back. What it says rests on tool results alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mcp_servers.gateway.rehearsal import members, reports
from mcp_servers.gateway.rehearsal.prompt import Prompt, Tool, context
from mcp_servers.gateway.rehearsal.schema import fill
from mcp_servers.gateway.rehearsal.several import MOST, wishes_in
from mcp_servers.gateway.rehearsal.tool_wish import read_tool_wish
from mcp_servers.gateway.rehearsal.understanding import Wish, covered_share, understand
from mcp_servers.gateway.rehearsal.words import clip, listed

QUERY, ASK, REQUEST = "registry_query_teams", "ask_team", "request_team"
STATUS, HIERARCHY, CHANGES = "cluster_team_status", "registry_get_team_hierarchy", "git_list_changes"
SERVERS = "gateway_list_servers"
DELEGATE = "delegate_work_to_coworker"
#: A team covers a wish that has this part of its skills.
ENOUGH = 0.6
#: They lead and build; work and capabilities are for the other teams.
META_TEAMS = ("executive", "devops")
_SPENDING = re.compile(r"\b(spen[dt]|costs?|budget|money|expensive)\b")
_PROPOSALS = re.compile(r"\b(changes?|proposals?|approvals?|approve|pull requests?|pending|waiting)\b")
_STRUCTURE = re.compile(r"\b(hierarchy|structure|reports? to|organi[sz]ation|org chart)\b")
_STATE = re.compile(r"\b(how is|how's|how are|status|healthy|health|running|alive|ill|sick|doing)\b")
_TOOLS = re.compile(r"\b(tools?|tool servers?|mcp servers?)\b")
_RETIRING = re.compile(r"\b(delete|remove|retire|dissolve|disband|shut down|get rid of)\b[^.!?]{0,60}\bteam\b")
_ADMITTING = re.compile(r"\b(admit|accept|allow|release)\b[^.!?]{0,80}\b(definitions?|quarantined?)\b")
_SERVER = re.compile(r"\b([a-z][a-z0-9]*(?:_[a-z0-9]+)*)__[a-z0-9_]+")
_MOST_COLLEAGUES = 2
_MOST_LOOKED_AT = 6
_OFFER_NEW = "Shall I ask the DevOps team to propose one?"
_OFFER_WORK = "Shall I hand it to them?"


@dataclass(frozen=True)
class Call:
    """A tool call. `tool` is the name as it was offered."""

    tool: str
    arguments: Mapping[str, Any]


def turn(prompt: Prompt) -> Call | str | None:
    """The next call, or the answer; None where the tools on offer do not matter for the task."""
    if QUERY in prompt.tools and REQUEST in prompt.tools and not context(prompt.task):
        return _lead_the_company(prompt)
    if DELEGATE in prompt.tools:
        return _lead_colleagues(prompt)
    return None


def small_talk(wish: Wish) -> str:
    """An answer that needs no tool."""
    if how := _how_to_admit(wish):
        return how
    if wish.kind == "no":
        return "All right, I leave it as it is."
    if wish.kind in ("greeting", "yes"):
        return (
            "Hello. Tell me what the company should be able to do, give me a piece of work, or ask how the teams are."
        )
    return wish.question or "What should be done, and for whom?"


def _how_to_admit(wish: Wish) -> str | None:
    """What a person does about a tool in quarantine, if that is meant."""
    said = wish.text.lower()
    if not _ADMITTING.search(said):
        return None
    named = _SERVER.search(said)
    return (
        "I cannot admit a tool's definition, for it is written for models like me to read: a person looks at what changed. "
        f"./elf gateway admit {named[1] if named else 'SERVER'} shows the difference and opens the pull request, which you decide on."
    )


def _lead_the_company(prompt: Prompt) -> Call | str:
    wishes = wishes_in(prompt.asked)
    return _serve_each(prompt, wishes) if len(wishes) > 1 else _serve(prompt, *_wish(prompt))


def _serve_each(prompt: Prompt, wishes: tuple[str, ...]) -> Call | str:
    """Each wish as if it had come alone: the next call that one of them wants, or what came of each."""
    said = list[str]()
    for text in wishes[:MOST]:
        wish = understand(text)
        made = (_wanted(wish), None)
        own = tuple(one for one in prompt.results if one.arguments.get("capability_gap") in made)
        turn = _serve(replace(prompt, asked=text, results=own), wish, accepted=False)
        if isinstance(turn, Call):
            return turn
        said.append(f"{len(said) + 1}. {turn}")
    if left := wishes[MOST:]:
        said.append(f"I take up {MOST} wishes of one message; please send the others again: {listed(left)}")
    return f"You wish for {len(wishes)} things.\n\n" + "\n\n".join(said)


def _serve(prompt: Prompt, wish: Wish, accepted: bool) -> Call | str:
    if wish.kind in ("greeting", "yes", "no", "unclear"):
        return small_talk(wish)
    if _RETIRING.search(wish.text.lower()):
        return (
            "I cannot retire a team: it goes the way it came, by a pull request that removes its folder, which you approve. "
            "docs/writing-teams.md shows how."
        )
    if how := _how_to_admit(wish):
        return how
    if crossed := prompt.result(ASK, REQUEST):
        return reports.of_team(crossed) if crossed.tool == ASK else reports.of_request(crossed, wish)
    if wish.kind == "tool":
        return _wants_tool(prompt, wish)
    if wish.kind == "question" and (wish.domain is None or _is_about_the_company(wish)):
        return _company_question(prompt, wish)
    found = prompt.result(QUERY)
    if found is None:
        return _call(prompt.tools[QUERY], {})
    teams = reports.teams_in(found.value)
    if teams is None:
        return f"I could not look at the registry, so I did nothing: {clip(found.text, 300)}"
    team = _covering(wish, teams)
    if wish.kind == "question":
        return _who_can(wish, team)
    if team:
        if (wish.kind == "work" or accepted) and ASK in prompt.tools:
            return _call(prompt.tools[ASK], {"team": team["name"], "message": wish.text})
        return f"`{team['name']}` already does this: {team.get('purpose', '')}. {_OFFER_WORK}"
    if wish.kind == "work" and not accepted:
        return f"No living team does {_skills(wish)} yet. {_OFFER_NEW}"
    return _call(prompt.tools[REQUEST], _gap(wish))


def _wants_tool(prompt: Prompt, wish: Wish) -> Call | str:
    """A tool: the DevOps team finds out who serves one. Of a wish that nothing can be made of, it is asked whether one is served."""
    tool = read_tool_wish(wish.text)
    if tool.question:
        found = prompt.result(SERVERS)
        if found is None and SERVERS in prompt.tools:
            return _call(prompt.tools[SERVERS], {})
        return reports.of_serving(found, tool.abilities) or tool.question if found else tool.question
    gap = {
        "capability_gap": _wanted(wish),
        "required_skills": list(tool.abilities),
        "urgency": "high" if wish.urgent else "normal",
        "business_justification": "Asked for by the person who runs the company, as a tool for its teams.",
    }
    return _call(prompt.tools[REQUEST], gap)


def _wanted(wish: Wish) -> str:
    """The wish as the DevOps team is told of it."""
    return clip(wish.text, 1500)


def _wish(prompt: Prompt) -> tuple[Wish, bool]:
    """What the person wants now, and whether they accepted an offer made before."""
    wish = understand(prompt.asked)
    before = [text for speaker, text in prompt.history if speaker.startswith(("person", "user"))]
    said = [text for speaker, text in prompt.history if not speaker.startswith(("person", "user"))]
    if not before or not said:
        return wish, False
    meant = next((text for text in reversed(before) if understand(text).kind not in ("yes", "no", "greeting")), None)
    if meant is None:
        return wish, False
    if wish.kind == "yes" and len(several := wishes_in(meant)) > 1:
        return replace(wish, kind="unclear", question=f"Which one do you mean: {listed(several, 'or')}?"), False
    earlier = understand(meant)
    if (
        wish.kind == "yes"
        and "?" in said[-1]
        and (earlier.kind in ("work", "capability", "question") or earlier.domain)
    ):
        return replace(earlier, kind="work" if earlier.kind == "work" else "capability", question=None), True
    asks_for_work = wish.kind == "work" and wish.text.lower().startswith(("please", "could you", "can you"))
    if wish.kind in ("unclear", "work") and not asks_for_work and earlier.kind == "unclear" and "?" in said[-1]:
        # The answer to `what should be done?`, which need not say `we need a team` again.
        whole = understand(f"We need a team for this: {wish.text}")
        return (whole if whole.kind == "capability" else wish), False
    return wish, False


def _covering(wish: Wish, teams: list[dict[str, Any]]) -> dict[str, Any] | None:
    named = [team for team in teams if wish.team in (team["name"], f"{team['name']}-team")]
    if named and (wish.kind == "work" or named[0]["name"] in META_TEAMS):
        return named[0]
    shares = [
        (covered_share(wish.skills, tuple(team.get("skills") or ())), team)
        for team in teams
        if team["name"] not in META_TEAMS
    ]
    share, best = max(shares, key=lambda one: one[0], default=(0.0, None))
    return best if share >= ENOUGH else None


def _company_question(prompt: Prompt, wish: Wish) -> Call | str:
    if _asks_state(wish) and not _asks_other(wish) and {QUERY, STATUS} <= prompt.tools.keys():
        return _how_teams_are(prompt, wish)
    tool, arguments = _status_tool(prompt, wish)
    if tool not in prompt.tools:
        return "I cannot see that from here. `./elf status` shows the teams, `./elf changes` the proposals, `./elf costs` what was spent."
    found = prompt.result(tool)
    return reports.of_status(found) if found else _call(prompt.tools[tool], arguments)


def _status_tool(prompt: Prompt, wish: Wish) -> tuple[str, dict[str, Any]]:
    text = wish.text.lower()
    if _SPENDING.search(text):
        return next((name for name in prompt.tools if re.search(r"cost|spen|usage|budget", name)), "costs"), {}
    if _PROPOSALS.search(text) and CHANGES in prompt.tools:
        return CHANGES, {"state": "open"}
    if _TOOLS.search(text) and SERVERS in prompt.tools:
        return SERVERS, {}
    if _STRUCTURE.search(text) and HIERARCHY in prompt.tools:
        return HIERARCHY, {}
    return QUERY, {}


def _how_teams_are(prompt: Prompt, wish: Wish) -> Call | str:
    """Who lives, then the health of each: the named team's alone, if it is one of them."""
    found = prompt.result(QUERY)
    if found is None:
        return _call(prompt.tools[QUERY], {})
    names = [str(team["name"]) for team in reports.teams_in(found.value) or []]
    wanted = [wish.team] if wish.team in names else names[:_MOST_LOOKED_AT]
    seen = {str(result.arguments.get("team")): result for result in prompt.results if result.tool == STATUS}
    unseen = [name for name in wanted if name not in seen]
    if unseen:
        return _call(prompt.tools[STATUS], {"team": unseen[0]})
    more = (
        [f"{len(names) - len(wanted)} more: `./elf status` shows them."]
        if len(wanted) > 1 and len(names) > len(wanted)
        else []
    )
    return "\n".join([*(reports.of_status(seen[name]) for name in wanted), *more]) or "There is no team."


def _asks_state(wish: Wish) -> bool:
    return bool(_STATE.search(wish.text.lower()))


def _asks_other(wish: Wish) -> bool:
    text = wish.text.lower()
    return any(asked.search(text) for asked in (_SPENDING, _PROPOSALS, _STRUCTURE, _TOOLS))


def _is_about_the_company(wish: Wish) -> bool:
    return _asks_other(wish) or _asks_state(wish)


def _who_can(wish: Wish, team: dict[str, Any] | None) -> str:
    if team:
        return (
            f"Yes: `{team['name']}` does {_skills(wish)}. Its purpose: {team.get('purpose', '')}. What shall they do?"
        )
    return f"No living team does {_skills(wish)}. {_OFFER_NEW}"


def _gap(wish: Wish) -> dict[str, Any]:
    said = _wanted(wish)
    if understand(wish.text).kind not in ("capability", "work"):
        # Accepted in another language: the DevOps team is told what was agreed on, not what nobody here can read.
        said = f"We need a team for {wish.function.replace('-', ' ')}: {_skills(wish)}."
    return {
        "capability_gap": said,
        "required_skills": list(wish.skills),
        "urgency": "high" if wish.urgent else "normal",
        "business_justification": f"Asked for by the person who runs the company; no living team does {_skills(wish)}.",
    }


def _skills(wish: Wish) -> str:
    return listed([skill.replace("-", " ") for skill in wish.skills]) or wish.function.replace("-", " ")


def _lead_colleagues(prompt: Prompt) -> Call | str:
    """Gives the task to the colleagues whose role fits best, one after the other, and puts together what they hand in."""
    tool = prompt.tools[DELEGATE]
    asked = [str(result.arguments.get("coworker", "")) for result in prompt.results if result.tool == DELEGATE]
    waiting = [name for name in _colleagues(tool, prompt) if name not in asked]
    if waiting and len(asked) < _MOST_COLLEAGUES:
        words = {"task": clip(prompt.asked, 4000), "context": "This is all that was said.", "coworker": waiting[0]}
        return _call(tool, words)
    return members.manager_answer(prompt, [result.text for result in prompt.results])


def _colleagues(tool: Tool, prompt: Prompt) -> list[str]:
    listing = re.search(r"coworkers: ([^\n]{1,1500})", tool.description)
    names = re.split(r"; |, ", listing[1].split(". They know", 1)[0]) if listing else []
    about = set(understand(prompt.asked).about)
    fit = {name: len(about & set(understand(name).about)) for name in names}
    # The skeptic comes last: there must be something to doubt.
    return sorted((name for name in names if name.strip()), key=lambda name: ("skeptic" in name.lower(), -fit[name]))


def _call(tool: Tool, values: Mapping[str, Any]) -> Call:
    """The call with arguments that fit the tool's schema; what is required and unknown is filled in."""
    return Call(
        tool.name, fill(tool.schema, values, str(values.get("message") or "all")) if tool.schema else dict(values)
    )
