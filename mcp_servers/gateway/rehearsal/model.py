"""The model's one function: a chat request in, an assistant message out. Pure: the same request gives the same answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp_servers.gateway.rehearsal import conversation, members, schema
from mcp_servers.gateway.rehearsal.design import design, rationale
from mcp_servers.gateway.rehearsal.diagnosis import diagnose
from mcp_servers.gateway.rehearsal.prompt import Prompt, context, read
from mcp_servers.gateway.rehearsal.server_design import design_server, wrap_server
from mcp_servers.gateway.rehearsal.several import wishes_in
from mcp_servers.gateway.rehearsal.tool_wish import read_tool_wish
from mcp_servers.gateway.rehearsal.understanding import Wish, understand
from mcp_servers.gateway.rehearsal.words import listed

#: Roughly what a token is in English; providers count their own way.
_CHARACTERS_PER_TOKEN = 4


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answers an OpenAI chat.completions body that also has `purpose`.

    Returns `message` (role, content, perhaps tool_calls), `usage` (prompt_tokens, completion_tokens, total_tokens) and
    `finish_reason` (`stop` or `tool_calls`).
    """
    prompt = read(request)
    message = _message(prompt, _spent_calls(request))
    asked = _tokens([request.get("messages"), request.get("tools"), request.get("response_format")])
    given = _tokens([message.get("content"), message.get("tool_calls")])
    return {
        "message": message,
        "usage": {"prompt_tokens": asked, "completion_tokens": given, "total_tokens": asked + given},
        "finish_reason": "tool_calls" if "tool_calls" in message else "stop",
    }


def _message(prompt: Prompt, spent: int) -> dict[str, Any]:
    if prompt.schema is not None:
        return _says(json.dumps(structured(prompt, prompt.schema), ensure_ascii=False))
    if prompt.tools:
        turn = conversation.turn(prompt)
        if isinstance(turn, conversation.Call):
            return _calls(turn, spent)
        if turn:
            return _says(turn)
    return _says(prose(prompt))


def prose(prompt: Prompt) -> str:
    """Text for a task without tools: a member's part, the skeptic's doubt, or what a manager puts together."""
    handed_in = members.parts_of(context(prompt.task)) + [result.text for result in prompt.results]
    if members.is_skeptic(prompt):
        return members.skeptic_review(prompt)
    if prompt.purpose in ("manager-work", "manager-answer") and handed_in:
        return members.manager_answer(prompt, handed_in)
    if prompt.purpose == "ceo-chat":
        return conversation.small_talk(understand(prompt.asked))
    return members.member_work(prompt)


def structured(prompt: Prompt, wanted: Mapping[str, Any]) -> Any:
    """A value that fits the schema, with what this model knows in the places whose names say what belongs there."""
    if prompt.purpose == "diagnose-incident":
        return schema.fill(wanted, diagnose(prompt.task), prompt.asked)
    wish = understand(prompt.asked)
    if prompt.purpose in ("design-server", "wrap-server"):
        make = design_server if prompt.purpose == "design-server" else wrap_server
        return schema.fill(wanted, make(read_tool_wish(wish.text), wish.gist, prompt.task), wish.gist or prompt.asked)
    known = _understood(wish)
    if prompt.purpose == "understand-request" and len(wishes := wishes_in(prompt.asked)) > 1:
        known |= _several_understood(wishes)
    if prompt.purpose == "design-team":
        spec = design(wish)
        why = rationale(wish, spec)
        known = {**known, **spec, "rationale": why, "spec": spec, "team": spec, "proposal": {**spec, "rationale": why}}
    return schema.fill(wanted, known, wish.gist or prompt.asked)


def _understood(wish: Wish) -> dict[str, Any]:
    """What was read in a wish, under the names a schema may ask for it by."""
    tool = _tool_understood(wish) if wish.kind == "tool" else {}
    clear = wish.kind in ("capability", "work")
    return {
        "intent": "new_team" if clear else "unclear",
        "kind": wish.kind,
        "clear": clear,
        "summary": wish.gist or "Nothing was said.",
        "capability": wish.gist or "Nothing was said.",
        "function": wish.function,
        "domain": wish.function,
        "department": wish.department,
        "placement": wish.placement,
        "required_skills": list(wish.skills),
        "skills": list(wish.skills),
        "team_name": wish.team,
        "name": wish.team,
        "urgency": "high" if wish.urgent else "normal",
        "question": None if clear else wish.question or "What should the team be able to do?",
        **tool,
    }


def _several_understood(wishes: tuple[str, ...]) -> dict[str, Any]:
    """A request that names several things is no request for one: each has to be asked for by itself."""
    return {"intent": "unclear", "question": f"Please ask for one at a time: {listed(wishes, 'or')}?"}


def _tool_understood(wish: Wish) -> dict[str, Any]:
    found = read_tool_wish(wish.text)
    return {
        "intent": "unclear" if found.question else "tool_server",
        "function": found.name.replace("_", "-"),
        "required_skills": list(found.abilities),
        "server_url": found.url if found.way == "server" else None,
        "program": found.program,
        "question": found.question,
    }


def _says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _calls(call: conversation.Call, spent: int) -> dict[str, Any]:
    function = {"name": call.tool, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
    # Numbered within the conversation, so that ids differ and the same request still gives the same answer.
    made = {"id": f"call_{spent + 1}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [made]}


def _spent_calls(request: Mapping[str, Any]) -> int:
    messages = request.get("messages")
    found = messages if isinstance(messages, list) else []
    return sum(isinstance(message, Mapping) and message.get("role") == "tool" for message in found)


def _tokens(parts: list[Any]) -> int:
    length = sum(
        len(part) if isinstance(part, str) else len(json.dumps(part, ensure_ascii=False)) for part in parts if part
    )
    return max(1, length // _CHARACTERS_PER_TOKEN)
